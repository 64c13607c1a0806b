"""The labeling page in a real browser, by keyboard; the person is played by the true labels."""

import time

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from tests.browser import opened
from tests.labeling.page.labeling_server import LabelingServer

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def names(heap):
    folder, _ = heap
    return sorted(path.name for path in folder.iterdir())


def position_on(browser, other_than=None):
    """Return the position of the image on the page, once there is one that differs from `other_than`."""
    stage = browser.find_element(By.ID, "stage")

    def shown(_):
        number = stage.get_attribute("data-image")
        return number and number != str(other_than) and stage.find_elements(By.TAG_NAME, "img") and [int(number)]

    (position,) = WebDriverWait(browser, 60, 0.02).until(shown)
    return position


def answer_by_keys(browser, name, known):
    """Answer for the image on the page: by the key of its class, or by its name if the class is new."""
    body = browser.find_element(By.TAG_NAME, "body")
    if name in known:
        body.send_keys(str(1 + known.index(name)))
    else:
        body.send_keys(Keys.ENTER)
        browser.switch_to.active_element.send_keys(name + Keys.ENTER)
        known.append(name)
        WebDriverWait(browser, 20).until(lambda _: name in class_names(browser))


def class_names(browser):
    """Return the names of the classes on the page, in the order of their keys."""
    script = "return [...document.querySelectorAll('#choices button span')].map((one) => one.textContent)"
    return browser.execute_script(script)


def name_person(browser, name):
    browser.find_element(By.ID, "show-about").click()
    field = browser.find_element(By.ID, "person")
    field.clear()
    field.send_keys(name + Keys.ENTER)
    browser.find_element(By.ID, "show-single").click()


def recorded_answers(server):
    pages = [server.get(f"/api/decisions?offset={offset}")["decisions"] for offset in range(0, 240, 60)]
    return {decision["image"]: (decision["label"], decision["who"]) for page in pages for decision in page}


def test_a_hundred_images_by_keyboard_a_group_and_two_browsers(heap, names, tmp_path):
    folder, truth = heap
    with (
        LabelingServer([str(folder), "--out", "labels.csv"], tmp_path) as server,
        opened(server.address, tmp_path / "first") as first,
        opened(server.address, tmp_path / "second") as second,
    ):
        name_person(first, "Ada")
        name_person(second, "Bo")
        given: dict[int, tuple[str, str]] = {}
        known: list[str] = []
        # The classes get their names in the first browser; the second one learns them with its next questions.
        last = None
        while len(known) < 4 or len(given) < 20:
            position = position_on(first, last)
            answer_by_keys(first, truth[names[position]], known)
            given[position], last = (truth[names[position]], "Ada"), position
        last_of = {"Ada": last, "Bo": None}
        while len(given) < 100:
            for browser, person in ((first, "Ada"), (second, "Bo")):
                position = position_on(browser, last_of[person])
                assert position not in given
                answer_by_keys(browser, truth[names[position]], class_names(browser))
                given[position], last_of[person] = (truth[names[position]], person), position
        position_on(first, last_of["Ada"])
        position_on(second, last_of["Bo"])
        assert recorded_answers(server) == given
        times = first.execute_script(
            "return performance.getEntriesByName('answer to painted').map((one) => one.duration)"
        )
        assert len(times) >= 40
        name_a_group(first, server, truth, names)
        correct_by_undo_and_in_the_list(first, given, names)


def name_a_group(browser, server, truth, names):
    browser.find_element(By.ID, "show-groups").click()
    WebDriverWait(browser, 30).until(lambda _: browser.find_elements(By.CSS_SELECTOR, "#group button img"))
    before = server.get("/api/state")["in_groups"]
    tiles = browser.find_elements(By.CSS_SELECTOR, "#group button")
    tiles[0].send_keys(Keys.SPACE)
    assert tiles[0].get_attribute("aria-pressed") == "true"
    tiles[0].send_keys(Keys.SPACE)
    tiles[-1].click()
    browser.find_element(By.TAG_NAME, "body").send_keys("1")
    notice = browser.find_element(By.ID, "notice")
    WebDriverWait(browser, 20).until(lambda _: " images: " in notice.text)
    named = server.get("/api/state")["in_groups"] - before
    assert named >= len(tiles) - 1 > 0
    browser.find_element(By.ID, "group-undo").click()
    WebDriverWait(browser, 20).until(lambda _: "Without a label again" in notice.text)
    assert server.get("/api/state")["in_groups"] == before


def correct_by_undo_and_in_the_list(browser, given, names):
    browser.find_element(By.ID, "show-single").click()
    position = position_on(browser)
    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys("?")
    other = position_on(browser, position)
    body.send_keys(Keys.BACKSPACE)
    assert position_on(browser, other) == position
    body.send_keys("-")
    position_on(browser, position)
    browser.find_element(By.ID, "show-decisions").click()
    browser.find_element(By.ID, "search").send_keys(names[position])
    WebDriverWait(browser, 20).until(lambda _: browser.find_element(By.ID, "decisions-count").text == "1 decision")
    row = browser.find_element(By.CSS_SELECTOR, "#decision-list li")
    assert names[position] in row.text
    row.find_element(By.TAG_NAME, "summary").click()
    assert [line.split(",")[0] for line in row.text.splitlines() if ", Ada, " in line] == [
        "not sure", "withdrawn", "none of these",
    ]  # fmt: skip


def test_a_killed_server_is_named_and_the_page_goes_on(heap, names, tmp_path):
    folder, truth = heap
    words = [str(folder), "--out", "labels.csv"]
    with LabelingServer(words, tmp_path) as server, opened(server.address, tmp_path / "profile") as browser:
        position = position_on(browser)
        answer_by_keys(browser, truth[names[position]], [])
        other = position_on(browser, position)
        server.kill()
        browser.find_element(By.TAG_NAME, "body").send_keys("1")
        notice = browser.find_element(By.ID, "notice")
        WebDriverWait(browser, 20).until(lambda _: "The server did not respond" in notice.text)
        assert position_on(browser) == other  # the answer was not recorded, so the image stays
        port = server.url.rpartition(":")[2]
        with LabelingServer([*words, "--port", port], tmp_path) as again:
            assert recorded_answers(again) == {position: (truth[names[position]], "person")}
            browser.get(again.address)
            browser.refresh()
            assert position_on(browser) != position
        browser.get("about:blank")
        browser.get_log("browser")  # requests to the killed server failed, as they had to


def test_keys_of_classes_and_a_corrected_address(heap, names, tmp_path):
    folder, _ = heap
    with (
        LabelingServer([str(folder), "--out", "labels.csv"], tmp_path) as server,
        opened(f"{server.url}/#another-token", tmp_path / "profile") as browser,
    ):
        notice = browser.find_element(By.ID, "notice")
        WebDriverWait(browser, 20).until(lambda _: "no valid token" in notice.text)
        browser.execute_script("location.hash = arguments[0]", server.token)
        WebDriverWait(browser, 20).until(lambda one: one.find_elements(By.CSS_SELECTOR, "#stage img"))
        keys = browser.execute_async_script(
            "import('/dom.js').then((dom) => arguments[0]([...dom.keysOf(['7', 'cat', '1', 'B', 'dog'])]))"
        )
        # A class that is named like a key has this key.
        assert dict(keys) == {"7": "7", "1": "1", "B": "b", "cat": "2", "dog": "3"}
        position_on(browser)
        browser.find_element(By.TAG_NAME, "body").send_keys("5")
        notice = browser.find_element(By.ID, "notice")  # of the page that was loaded again
        WebDriverWait(browser, 20).until(lambda _: notice.text.startswith("No class has the key 5."))
        browser.get_log("browser")  # the requests with the other token failed, as they had to


def test_no_part_of_the_page_is_wider_than_a_phone(heap, tmp_path):
    folder, _ = heap
    with (
        LabelingServer([str(folder), "--out", "labels.csv"], tmp_path) as server,
        opened(server.address, tmp_path / "profile", size=(500, 800)) as browser,
    ):
        position_on(browser)
        for part in ("single", "groups", "decisions", "about"):
            browser.find_element(By.ID, f"show-{part}").click()
            time.sleep(0.5)
            width = browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
            assert width <= 0
