"""`saccade label --page`: time from a key to the next painted image, while the head is fitted in the background.

    python benchmarks/labeling_page.py DATA [--answers 200] [--seconds 0.7]

DATA is a folder of class folders, whose labels play the person. The page runs in headless Chromium, which this program
controls through chromedriver; the page itself measures from the key to the moment after the next image was painted.
An answer follows the last one after some 0.7 seconds, a fast person. The goal: at most 100 ms for 95% of the answers.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
from processes import SACCADE, at_least_one, run_program
from results import Result, add_results_option, keep_results
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

_LIMIT = 0.1


def main() -> None:
    """Label, print and save the results."""
    parser = argparse.ArgumentParser(description="Time from a key to the next image on the page of saccade label.")
    parser.add_argument("data", metavar="DATA", type=Path, help="folder of class folders")
    parser.add_argument("--answers", type=at_least_one, default=200, help="number of answers")
    parser.add_argument("--seconds", type=float, default=0.7, help="seconds between two answers")
    add_results_option(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        times, fitting, images = _label(options.data, Path(folder), options.answers, options.seconds)
    quantile = float(np.quantile(times, 0.95))
    note = f"{len(times)} answers, {images:,} images, the head was fitted during {fitting} of them"
    subject = f"{options.data.name}, key to next image"
    results = [
        Result(subject, "median", "s", [float(np.median(times))], note),
        Result(subject, "95th percentile", "s", [quantile], note),
    ]
    keep_results("labeling_page", results, options.results)
    if quantile > _LIMIT:
        sys.exit(f"error: the 95th percentile is above {_LIMIT:g} s")


def _label(data: Path, folder: Path, count: int, seconds: float) -> tuple[list[float], int, int]:
    """Answer on the page, and return the times in seconds, the number of answers during a fit, and of images."""
    command = [*SACCADE, "label", str(data), "--out", str(folder / "labels.csv"), "--page"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        address = ""
        for line in process.stderr:
            if found := re.match(r"label at (\S+)", line):
                address = found[1]
            if line.startswith("Ctrl-C"):
                break
        browser = _browser(folder / "profile")
        try:
            browser.get(address)
            return _answer(browser, address, data, count, seconds)
        finally:
            browser.quit()
            process.terminate()
            process.stderr.read()


def _browser(profile: Path) -> webdriver.Chrome:
    options = Options()
    options.binary_location = shutil.which("chromium") or shutil.which("chromium-browser") or ""
    for switch in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"):
        options.add_argument(switch)
    return webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))


def _answer(
    browser: webdriver.Chrome, address: str, data: Path, count: int, seconds: float
) -> tuple[list[float], int, int]:
    paths = sorted(path for path in data.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    names = sorted(path.relative_to(data).as_posix() for path in paths)
    known: list[str] = []
    fitting = 0
    last = ""
    for _ in range(count):
        position = _shown(browser, last)
        label = names[int(position)].split("/")[-2]
        fitting += bool(_state(address)["fitting"])
        if label in known and known.index(label) < 9:
            browser.find_element(By.TAG_NAME, "body").send_keys(str(1 + known.index(label)))
        else:
            browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ENTER)
            browser.switch_to.active_element.send_keys(label + Keys.ENTER)
            if label not in known:
                known.append(label)
        last = position
        time.sleep(seconds)
    durations = browser.execute_script(
        "return performance.getEntriesByName('answer to painted').map((one) => one.duration)"
    )
    return [duration / 1000 for duration in durations], fitting, _state(address)["images"]


def _shown(browser: webdriver.Chrome, last: str) -> str:
    stage = browser.find_element(By.ID, "stage")
    while True:
        position = stage.get_attribute("data-image") or ""
        if position not in ("", last):
            return position
        time.sleep(0.02)


def _state(address: str) -> dict[str, int]:
    url, token = address.split("/#")
    request = urllib.request.Request(f"{url}/api/state", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request) as response:
        state: dict[str, int] = json.loads(response.read())
    return state


if __name__ == "__main__":
    run_program(main)
