"""A real browser for the tests of pages: headless Chromium, controlled by chromedriver."""

import shutil
from contextlib import contextmanager

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

_SWITCHES = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


@contextmanager
def opened(page, profile, size=(1200, 900)):
    """Open a page in a window of `size` pixels; skip the test where there is no Chromium.

    Args:
        page: path of a file, or an address.
        profile: folder for the profile of the browser.
        size: width and height of the window.
    """
    chromium, driver = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("there is no chromium with its chromedriver on this machine")
    options = Options()
    options.binary_location = chromium
    for switch in (*_SWITCHES, f"--window-size={size[0]},{size[1]}", f"--user-data-dir={profile}"):
        options.add_argument(switch)
    browser = webdriver.Chrome(options=options, service=Service(driver))
    try:
        browser.get(page if isinstance(page, str) else page.absolute().as_uri())
        yield browser
        assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    finally:
        browser.quit()
