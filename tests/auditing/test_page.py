"""Audit page in a browser: choices are saved and can be applied."""

import shutil
import time

import pytest
from tests.auditing.broken_folders import copied, image, save, sound

from saccade.auditing.all_images import AuditedImages
from saccade.auditing.audit import audit
from saccade.auditing.findings import Audit, Finding
from saccade.auditing.page import audit_page
from saccade.data.fixes import read_fixes
from saccade.data.load import load

NAME = 'a "quoted", name.png'


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = sound(tmp_path_factory.mktemp("data") / "pets")
    copied(root, "train/cat/000.png", "test/cat/copy.png")
    save(root, f"train/dog/{NAME}", image(1, 700).point(lambda value: 22 * (value > 128)))
    save(root, "train/dog/<img src=x onerror=alert(1)>.png", image(0, 701).point(lambda value: value // 20))
    return root


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    service, chromium = shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("google-chrome")
    if not service or not chromium:
        pytest.skip("no chromium with a chromedriver is installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    folder = tmp_path_factory.mktemp("browser")
    for option in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--force-prefers-reduced-motion",
        f"--user-data-dir={folder / 'profile'}",
    ):  # fmt: skip
        options.add_argument(option)
    options.add_experimental_option("prefs", {"download.default_directory": str(folder)})
    driver = webdriver.Chrome(options=options, service=Service(service))
    yield driver, folder
    driver.quit()


def downloaded(folder, name="fixes.csv"):
    for _ in range(200):
        if (folder / name).is_file():
            return folder / name
        time.sleep(0.05)
    raise AssertionError("nothing was saved")


def click(browser, element):
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def test_choices_by_mouse_and_keyboard_are_saved_in_fixes_csv(root, browser, tmp_path):
    from selenium.webdriver.common.by import By

    browser, folder = browser
    found = audit(root, folds=0, out=tmp_path / "audit")
    browser.get((tmp_path / "audit/audit.html").absolute().as_uri())
    leak, dark = (browser.find_element(By.XPATH, f"//section[h2='{kind}']") for kind in ("leak", "dark"))
    assert "1 group of identical files" in leak.text
    assert len(browser.find_elements(By.CSS_SELECTOR, ".choice img")) == 4
    click(browser, leak.find_element(By.CLASS_NAME, "suggest"))
    figure = dark.find_element(By.CLASS_NAME, "choice")
    figure.send_keys("d")
    assert figure.get_attribute("data-action") == "drop"
    figure.send_keys("u")
    assert not figure.get_attribute("data-action")
    figure.find_element(By.TAG_NAME, "input").send_keys("no such class")
    click(browser, figure.find_element(By.CSS_SELECTOR, "[data-action=relabel]"))
    assert not figure.get_attribute("data-action")
    figure.find_element(By.TAG_NAME, "input").clear()
    figure.find_element(By.TAG_NAME, "input").send_keys("cat")
    click(browser, figure.find_element(By.CSS_SELECTOR, "[data-action=relabel]"))
    assert figure.get_attribute("data-action") == "relabel"
    assert browser.find_element(By.ID, "state").text == "Keep 1, relabel 1, drop 1."
    browser.find_element(By.ID, "save").click()
    chosen = {fix.path: (fix.split, fix.action, fix.class_name) for fix in read_fixes(downloaded(folder))}
    assert chosen == {
        "test/cat/copy.png": ("test", "keep", ""),
        "train/cat/000.png": ("train", "drop", ""),
        f"train/dog/{NAME}": ("train", "relabel", "cat"),
    }
    assert found.files == (tmp_path / "audit/audit.json", tmp_path / "audit/audit.html")
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def test_the_page_fits_a_phone(root, browser, tmp_path):
    audit(root, folds=0, out=tmp_path / "audit")
    browser, _ = browser
    browser.set_window_size(500, 900)
    browser.get((tmp_path / "audit/audit.html").absolute().as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")


def test_names_from_files_are_escaped(root, tmp_path):
    audit(root, folds=0, out=tmp_path / "audit")
    html = (tmp_path / "audit/audit.html").read_text()
    assert "<img src=x" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;.png" in html


def test_a_page_shows_at_most_200_images_of_a_finding_and_the_number_of_the_others(root):
    images = AuditedImages.of(load(root))
    many = Finding("dark", "warning", "many are dark", "look", images.singletons([*range(60)] * 50))
    html = audit_page(Audit("pets", "pets", "0", images.class_names, {}, (many,), (), 0), images)
    assert html.count("<figure") == 200
    assert "And 2,800 more images" in html
