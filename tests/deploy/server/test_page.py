"""The page of `saccade serve` in a real browser: input of images, results, and accessibility."""

import base64
import json
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from tests.browser import opened

from saccade.deploy.server.app import STATIC_FILES

HOSTILE = '<img src=x onerror="document.title = 1">'
MINUS = "\N{MINUS SIGN}"
SECONDS = 30

# A DataTransfer with files; argument: a list of [name, contents in base64].
_FILES = """
const transfer = new DataTransfer();
for (const [name, contents] of arguments[0])
  transfer.items.add(new File([Uint8Array.from(atob(contents), letter => letter.charCodeAt(0))], name));
"""
_DROP = f"""{_FILES}
const drop = type => document.querySelector("h1").dispatchEvent(
  new DragEvent(type, {{dataTransfer: transfer, bubbles: true, cancelable: true}}));
drop("dragover");
const highlighted = document.body.classList.contains("dropping");
return [highlighted, drop("drop")];
"""
_PASTE = f"""{_FILES}
document.body.dispatchEvent(new ClipboardEvent("paste", {{clipboardData: transfer, bubbles: true, cancelable: true}}));
"""

# Replaces responses of the server: a request gets the first response in `canned` whose path ends its URL. This response
# is then removed unless it is the last one for the path. `requests` records the requests.
_CANNED = """
const real = window.fetch, canned = CANNED;
window.requests = [];
window.fetch = async (address, options = {}) => {
  window.requests.push([address, options.headers ?? {}]);
  const fitting = canned.filter(response => address.split("?")[0].endsWith(response.path));
  if (!fitting.length) return real(address, options);
  if (fitting.length > 1) canned.splice(canned.indexOf(fitting[0]), 1);
  if (fitting[0].status === 0) throw new TypeError("Failed to fetch");
  return new Response(JSON.stringify(fitting[0].body), {status: fitting[0].status, headers: fitting[0].headers ?? {}});
};
"""

# The largest and the smallest opacity of an occlusion map.
_OPACITIES = """
const canvas = arguments[0], {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
const opacities = data.filter((_, at) => at % 4 === 3);
return [Math.max(...opacities), Math.min(...opacities)];
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    blank = folder / "blank.html"
    blank.write_text("<!doctype html><title>blank</title>")
    with opened(blank, folder / "profile") as driver:
        yield driver


@pytest.fixture
def page(browser, page_url):
    """Open the page; at the end, require a browser console without errors."""
    browser.get(page_url)
    _wait(browser, "#input")
    yield browser
    _check_console_and_reset(browser)


@pytest.fixture
def page_with(browser, page_url):
    """Return a function that opens the page with given responses to some requests."""
    scripts = []

    def open_page(*canned, script=""):
        source = _CANNED.replace("CANNED", json.dumps(canned)) + script
        made = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": source})
        scripts.append(made["identifier"])
        browser.get(page_url)
        return browser

    yield open_page
    for identifier in scripts:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", {"identifier": identifier})
    _check_console_and_reset(browser)


@pytest.fixture
def example(page_examples):
    """Return a correctly predicted image, and its class."""
    class_name = sorted(page_examples)[0]
    return page_examples[class_name], class_name


def _check_console_and_reset(browser):
    assert [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    for command in ("Emulation.clearDeviceMetricsOverride", "Emulation.setEmulatedMedia"):
        browser.execute_cdp_cmd(command, {})


def _wait(browser, selector, number=1):
    """Return the elements of a selector, as soon as this number is visible."""

    def shown(driver):
        found = [one for one in driver.find_elements(By.CSS_SELECTOR, selector) if one.is_displayed()]
        return found if len(found) >= number else None

    return WebDriverWait(browser, SECONDS).until(shown, f"{number} of {selector}")


def _button(browser, text):
    """Return the first button with a text, as soon as there is one."""
    find = browser.find_elements

    def shown(_):
        return [one for one in find(By.CSS_SELECTOR, ".prediction button") if one.text == text]

    return WebDriverWait(browser, SECONDS).until(shown, f"a button '{text}'")[0]


def _text(browser, selector, part):
    """Return the text of an element, as soon as it contains `part`."""
    find = browser.find_element
    WebDriverWait(browser, SECONDS).until(
        lambda _: part in find(By.CSS_SELECTOR, selector).text, f"{part} in {selector}"
    )
    return find(By.CSS_SELECTOR, selector).text


def _announcements(browser):
    return browser.execute_script("return document.getElementById('announcements').textContent")


def _choose(browser, *paths):
    _wait(browser, "#input")
    browser.find_element(By.ID, "files").send_keys("\n".join(map(str, paths)))


def _as_transfer(*paths):
    return [[path.name, base64.b64encode(path.read_bytes()).decode()] for path in paths]


def _model(**other):
    names = ["cat", "dog", "owl"]
    return {
        "name": "images", "version": "1", "class_names": names, "data": "pets",
        "height": 32, "width": 32, "fit": "crop",
        "tta_views": 1,
        "temperature": 0.52, "calibrated": True, "target_accuracy": 0.99, "confidence_threshold": 0.831,
        "recipe": "fast",
        "test": {"accuracy": 0.891, "low": 0.885, "high": 0.897, "num_images": 10000}, "card": "# A card",
        "weights": "ab" * 32, "versions": {"saccade": "0.1.0", "python": "3.11.7"},
    } | other  # fmt: skip


def _models(*models):
    return {"path": "api/models", "status": 200, "body": {"models": models or [_model()]}}


def _prediction(probabilities=(0.9305, 0.0691, 0.0004), abstained=False, **other):
    classes = [
        {"class_name": name, "probability": part}
        for name, part in zip(("cat", "dog", "owl"), probabilities, strict=True)
    ]
    body = {"model": "images", "version": "1", "abstained": abstained, "classes": classes, **other}
    return {"path": "/image", "status": 200, "body": body}


def _error(status, path="/image", reason="the reason", **headers):
    return {"path": path, "status": status, "body": {"error": reason}, "headers": headers}


def test_a_chosen_file_is_classified_with_the_correct_class_first(page, example):
    path, class_name = example
    _choose(page, path)
    classes = _wait(page, ".classes li")
    assert classes[0].find_element(By.CSS_SELECTOR, ".name").text == class_name
    assert "%" in classes[0].text
    assert class_name in page.find_element(By.CSS_SELECTOR, ".prediction h2").text
    image = page.find_element(By.CSS_SELECTOR, ".prediction img")
    assert image.get_property("naturalWidth") > 0
    assert path.name in image.get_attribute("alt")
    assert class_name in _announcements(page)


def test_dropped_images_each_get_a_prediction_newest_first(page, page_examples):
    first, second, third = [page_examples[name] for name in sorted(page_examples)[:3]]
    assert page.execute_script(_DROP, _as_transfer(first)) == [
        True,
        False,
    ]  # highlighted, and the default action is prevented
    _wait(page, ".classes")
    page.execute_script(_DROP, _as_transfer(second, third))
    _wait(page, ".classes", 3)
    tops = [found.text for found in page.find_elements(By.CSS_SELECTOR, ".classes li:first-child .name")]
    assert tops == [*sorted(page_examples)[1:3], sorted(page_examples)[0]]
    assert "dropping" not in page.find_element(By.TAG_NAME, "body").get_attribute("class")


def test_a_drop_without_a_file_is_reported(page):
    page.execute_script(_DROP, [])
    assert "not a file" in _text(page, "#problem", "not a file")
    assert not page.find_elements(By.CSS_SELECTOR, ".prediction")


def test_an_image_is_pasted(page, example):
    path, class_name = example
    page.execute_script(_PASTE, [])  # a paste without files, such as text
    page.execute_script(_PASTE, _as_transfer(path))
    assert class_name in _text(page, ".classes li", class_name)
    assert len(page.find_elements(By.CSS_SELECTOR, ".prediction")) == 1


def test_a_text_file_is_unreadable_with_the_reason_of_the_server(page, page_url, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("no image at all")
    with pytest.raises(HTTPError) as error:
        urlopen(Request(f"{page_url.rstrip('/')}/api/models/images/image", text.read_bytes()))
    with error.value as response:
        reason = json.load(response)["error"]
    _choose(page, text)
    assert _text(page, ".prediction .reason", reason) == reason
    assert reason in _announcements(page)
    assert not page.find_element(By.CSS_SELECTOR, ".prediction .stage").is_displayed()
    log = [entry["message"] for entry in page.get_log("browser") if entry["level"] == "SEVERE"]
    assert len(log) == 1
    assert f"status of {error.value.code}" in log[0]  # Chromium's own message about the error status


def test_the_occlusion_map_is_drawn_described_and_hidden(page, example):
    path, class_name = example
    _choose(page, path)
    button = _button(page, "Show occlusion map")
    button.click()
    canvas = _wait(page, ".prediction canvas")[0]
    strongest, weakest = page.execute_script(_OPACITIES, canvas)
    assert strongest > weakest
    words = page.find_element(By.CSS_SELECTOR, ".map-description p").text
    assert canvas.get_attribute("aria-label") == words
    assert class_name in words
    assert words in _announcements(page)
    assert button.text == "Hide occlusion map"
    button.click()
    assert not canvas.is_displayed()
    button.click()
    assert canvas.is_displayed()
    assert len(page.find_elements(By.CSS_SELECTOR, ".prediction canvas")) == 1


def test_the_occlusion_map_covers_the_center_crop(page_with, tmp_path):
    from PIL import Image

    wide = tmp_path / "wide.png"
    Image.new("RGB", (300, 100), "red").save(wide)
    change = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.02, 0.0, -0.41]]
    body = {"model": "images", "version": "1", "class_name": "cat", "probability": 0.93, "change": change}
    browser = page_with(_models(), _prediction(), {"path": "/occlusion", "status": 200, "body": body})
    _choose(browser, wide)
    _button(browser, "Show occlusion map").click()
    canvas, image = _wait(browser, ".prediction canvas")[0], browser.find_element(By.CSS_SELECTOR, ".prediction img")
    # The center crop of a square model is the middle third of this image.
    assert canvas.rect["width"] == pytest.approx(image.rect["width"] / 3, abs=1)
    assert canvas.rect["x"] == pytest.approx(image.rect["x"] + image.rect["width"] / 3, abs=1)
    assert canvas.rect["height"] == pytest.approx(image.rect["height"], abs=1)
    words = browser.find_element(By.CSS_SELECTOR, ".map-description p").text
    assert words == (
        "Covering the lower right lowers the probability of cat the most, by 41.0 points: from 93.0% to 52.0%. "
        "Covering the lower left raises it the most, by 2.0 points."
    )
    assert [span.text for span in browser.find_elements(By.CSS_SELECTOR, ".legend span")[1:]] == [
        f"{MINUS}41.0 points", "0", "+41.0 points",
    ]  # fmt: skip


def test_extreme_probabilities_are_not_shown_as_certain(page_with, example):
    browser = page_with(_models(), _prediction((0.9995, 0.0009, 0.0004)))
    _choose(browser, example[0])
    _wait(browser, ".classes")
    shown = [item.text.split("\n") for item in browser.find_elements(By.CSS_SELECTOR, ".classes li")]
    assert [" ".join(words) for words in shown] == ["cat over 99.9%", "dog under 0.1%", "owl under 0.1%"]


@pytest.mark.parametrize(
    ("confidence", "meaning"),
    [
        (0.482, "Its 48.2% is below the 83.1% from which 99% of the predictions are correct."),
        (0.8308, "Its 83.08% is below the 83.10% from which 99% of the predictions are correct."),
    ],
)
def test_an_abstained_prediction_is_marked_with_its_reason(page_with, example, confidence, meaning):
    browser = page_with(_models(), _prediction((confidence, 1 - confidence, 0.0), abstained=True))
    _choose(browser, example[0])
    assert _text(browser, ".prediction h2", "Abstained") == "Abstained perhaps cat"
    assert browser.find_element(By.CSS_SELECTOR, ".meaning").text == meaning
    assert "abstained, perhaps cat" in _announcements(browser)


def test_an_image_unlike_the_training_images_is_marked(page_with, example):
    browser = page_with(_models(), _prediction(is_ood=True, ood_p_value=0.012))
    _choose(browser, example[0])
    assert _text(browser, ".prediction h2", "cat") == "cat 93.0%"
    meaning = browser.find_element(By.CSS_SELECTOR, ".meaning").text
    assert meaning.startswith("Unlike the training images: 1.2% of the validation images are at least as unusual.")
    assert "cat, 93.0%; unlike the training images" in _announcements(browser)


def test_the_metadata_of_a_model_are_shown_as_text(page_with, example):
    model = _model(
        class_names=["cat", "dog", HOSTILE], card=f"# A card\n{HOSTILE}", data=HOSTILE, recipe=None, test=None
    )
    browser = page_with(
        _models(model | {"calibrated": False, "target_accuracy": None, "confidence_threshold": None}), _prediction()
    )
    _wait(browser, "summary")[0].click()
    metadata = browser.find_element(By.ID, "metadata").text
    for text in (
        f"3: cat, dog, {HOSTILE}",
        "not evaluated yet",
        "unknown",
        "none: its probabilities",
        "never:",
        "ab" * 32,
    ):
        assert text in metadata
    assert browser.find_element(By.ID, "card-text").text == model["card"]
    _choose(browser, example[0])
    _wait(browser, ".classes")
    assert "Not calibrated" in browser.find_element(By.CSS_SELECTOR, ".prediction").text
    assert not browser.find_elements(By.CSS_SELECTOR, 'img[src="x"]')
    assert browser.title.startswith("Saccade")


def test_one_of_several_models_is_selected(page_with, example):
    other = _model(name="other one", test={"accuracy": 0.5, "low": 0.4, "high": 0.6, "num_images": 1234})
    browser = page_with(_models(_model(), other), _prediction())
    _wait(browser, "#model")[0].send_keys("other")
    shown = "its accuracy is 50.0% (95% interval 40.0% to 60.0%, n = 1,234 test images)."
    assert shown in _text(browser, "#summary", "other one")
    _choose(browser, example[0])
    _text(browser, ".prediction", "classified by other one")
    assert "api/models/other%20one/image?top=3" in [
        address for address, _ in browser.execute_script("return window.requests")
    ]


def test_the_token_is_requested_and_sent_but_not_stored(page_with, example):
    first, wrong = _error(401, "api/models", "a token is needed"), _error(401, "api/models", "this token is wrong")
    browser = page_with(first, wrong, _prediction(), _models())
    for reason, given in (("a token is needed", "guess"), ("this token is wrong", "secret")):
        _text(browser, "#access-reason", reason)
        field = browser.switch_to.active_element
        assert field.get_attribute("type") == "password"
        field.send_keys(given, Keys.ENTER)
    _choose(browser, example[0])
    _wait(browser, ".classes")
    sent = [headers.get("Authorization") for _, headers in browser.execute_script("return window.requests")]
    assert sent == [None, "Bearer guess", "Bearer secret", "Bearer secret"]
    kept = (
        "return [document.cookie, localStorage.length, sessionStorage.length, document.getElementById('token').value]"
    )
    assert browser.execute_script(kept) == ["", 0, 0, ""]


def test_without_a_token_the_reason_is_shown_with_a_retry_button(page_with):
    browser = page_with(_error(401, "api/models", "a token is needed"), _models())
    _text(browser, "#access-reason", "a token is needed")
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert _text(browser, "#summary", "token") == "a token is needed"
    _wait(browser, "#again")[0].click()
    _text(browser, "#summary", "3 classes")


def test_a_request_to_a_busy_server_is_repeated(page_with, example):
    busy = _error(503, **{"Retry-After": "0"})
    browser = page_with(_models(), busy, busy, _prediction())
    _choose(browser, example[0])
    _wait(browser, ".classes")
    announced = _announcements(browser)
    assert "busy. Trying again in 0 s (1 of 3)" in announced
    assert "(2 of 3)" in announced
    assert "(3 of 3)" not in announced


def test_a_request_to_a_busy_server_is_sent_four_times_and_then_on_demand(page_with, example):
    browser = page_with(_models(), *[_error(503, **{"Retry-After": "0"})] * 4, _prediction())
    _choose(browser, example[0])
    assert _text(browser, ".reason", "the reason") == "the reason"
    assert len(browser.execute_script("return window.requests")) == 1 + 4
    _button(browser, "Try again").click()
    _wait(browser, ".classes")


def test_a_stopped_server_is_reported(page_with, example):
    browser = page_with(_models(), {"path": "/image", "status": 0}, _prediction())
    _choose(browser, example[0])
    assert "Is it still running?" in _text(browser, ".reason", "The server did not respond")
    _button(browser, "Try again").send_keys(Keys.ENTER)
    _wait(browser, ".classes")
    assert browser.switch_to.active_element.aria_role == "article"  # keyboard navigation continues there


def test_the_camera_takes_an_image(page_with):
    # A camera that shows a green canvas.
    camera = """
    navigator.mediaDevices.getUserMedia = async () => {
      const canvas = Object.assign(document.createElement("canvas"), {width: 64, height: 48});
      const context = canvas.getContext("2d");
      setInterval(() => { context.fillStyle = "green"; context.fillRect(0, 0, 64, 48); }, 50);
      return window.stream = canvas.captureStream();
    };
    """
    browser = page_with(_models(), _prediction(), script=camera)
    _wait(browser, "#open-camera")[0].click()
    shutter = _wait(browser, "#shutter")[0]
    WebDriverWait(browser, SECONDS).until(
        lambda _: browser.find_element(By.ID, "preview").get_property("videoWidth") == 64
    )
    assert browser.switch_to.active_element == shutter
    shutter.send_keys(" ")
    _wait(browser, ".classes")
    image = browser.find_element(By.CSS_SELECTOR, ".prediction img")
    assert (image.get_property("naturalWidth"), image.get_property("naturalHeight")) == (64, 48)
    shutter.send_keys(Keys.ESCAPE)
    assert not browser.find_element(By.ID, "camera").is_displayed()
    assert browser.execute_script("return window.stream.getTracks().every(track => track.readyState === 'ended')")


def test_a_denied_camera_is_reported(page_with):
    denied = "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('no', 'NotAllowedError'); };"
    browser = page_with(_models(), script=denied)
    _wait(browser, "#open-camera")[0].click()
    assert "not allowed to use the camera" in _text(browser, "#problem", "camera")


def test_without_a_secure_context_a_file_input_opens_the_camera_of_a_phone(page_with, example):
    none = "Object.defineProperty(navigator, 'mediaDevices', {value: undefined});"
    browser = page_with(_models(), _prediction(), script=none)
    photo = _wait(browser, "#phone-camera")[0].find_element(By.ID, "photo")
    assert not browser.find_element(By.ID, "open-camera").is_displayed()
    assert (photo.get_attribute("accept"), photo.get_attribute("capture")) == ("image/*", "environment")
    photo.send_keys(str(example[0]))
    _wait(browser, ".classes")


def test_the_page_works_by_keyboard(page, example):
    path, class_name = example

    def go_to(selector):
        """Press Tab until an element has the focus, and require a visible outline."""
        for _ in range(20):
            ActionChains(page).send_keys(Keys.TAB).perform()
            focused = page.switch_to.active_element
            if focused == page.find_element(By.CSS_SELECTOR, selector):
                break
        assert focused == page.find_element(By.CSS_SELECTOR, selector)
        outlined = "const of = arguments[0].matches('.chooser input') ? arguments[0].nextElementSibling : arguments[0];"
        assert page.execute_script(f"{outlined} return getComputedStyle(of).outlineStyle", focused) == "solid"
        return focused

    skip = go_to(".skip")
    assert skip.rect["x"] >= 0
    skip.send_keys(Keys.ENTER)
    go_to("#files").send_keys(str(path))
    assert class_name in _text(page, ".classes li", class_name)
    go_to("summary").send_keys(Keys.ENTER)
    assert page.find_element(By.ID, "metadata").is_displayed()
    go_to(".prediction .buttons button").send_keys(" ")
    _wait(page, ".prediction canvas")
    assert page.switch_to.active_element.text == "Hide occlusion map"
    go_to(".prediction .buttons button:last-child").send_keys(Keys.ENTER)
    assert not page.find_elements(By.CSS_SELECTOR, ".prediction")
    assert page.switch_to.active_element == page.find_element(By.ID, "files")


def test_the_page_works_with_a_screen_reader(page, example):
    _choose(page, example[0])
    _wait(page, ".classes")
    nodes = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    found = {
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node.get("ignored", False)
    }
    roles = {role for role, _ in found}
    assert roles >= {"banner", "main", "contentinfo", "log", "article"}
    assert {("region", "Add images"), ("region", "Predictions"), ("article", example[0].name)} <= found
    assert ("list", "Classes and their probabilities") in found
    nameless = [role for role, name in found if role in {"button", "textbox", "combobox", "image"} and not name]
    assert nameless == []


def test_the_page_fits_a_phone(page_with, example):
    long = "a_name_without_any_place_to_break_it" * 4
    change = {"class_name": "cat", "probability": 0.93, "change": [[-0.4, 0.1]], "model": "images", "version": "1"}
    browser = page_with(
        _models(_model(name=long, data=long, class_names=["cat", "dog", long], card=long)),
        _prediction(),
        {"path": "/occlusion", "status": 200, "body": change},
    )
    metrics = {"width": 320, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    _choose(browser, example[0])
    _button(browser, "Show occlusion map").click()
    _wait(browser, ".prediction canvas")
    browser.find_element(By.TAG_NAME, "summary").click()
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 320
    # Buttons are large enough for fingers.
    assert all(button.rect["height"] >= 44 for button in browser.find_elements(By.CSS_SELECTOR, ".prediction button"))


def test_the_page_follows_dark_mode_and_reduced_motion(page, example):
    features = [
        {"name": "prefers-color-scheme", "value": "dark"},
        {"name": "prefers-reduced-motion", "value": "reduce"},
    ]
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    _choose(page, example[0])
    _wait(page, ".classes")
    style = "const style = getComputedStyle(document.querySelector(arguments[0])); return style[arguments[1]]"
    assert page.execute_script(style, "body", "backgroundColor") == "rgb(20, 23, 27)"
    assert page.execute_script(style, ".bar > div", "transitionDuration") == "0s"


def test_every_request_goes_to_the_server_of_the_page(page, page_url, example):
    _choose(page, example[0])
    _button(page, "Show occlusion map").click()
    _wait(page, ".prediction canvas")
    asked = page.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert {urlsplit(address).path for address in asked} >= {
        *STATIC_FILES.keys() - {"/"}, "/api/models", "/api/models/images/image", "/api/models/images/occlusion",
    }  # fmt: skip
    assert {urlsplit(address).netloc for address in asked if not address.startswith(("blob:", "data:"))} == {
        urlsplit(page_url).netloc
    }
