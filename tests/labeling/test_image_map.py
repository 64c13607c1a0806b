"""Map of images: places, labels and predictions on the page, and the page in a browser."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait
from sklearn.neighbors import NearestNeighbors
from tests.browser import opened

import saccade
from saccade.errors import DataError
from saccade.labeling import image_map
from saccade.labeling.image_map import place


def values_of(page):
    (text,) = re.findall(r'<script type="application/json" id="values">(.*?)</script>', page, flags=re.DOTALL)
    return json.loads(text)


def groups(draw, count, each):
    centers = draw.normal(size=(count, 64))
    return np.repeat(centers, each, axis=0) + 0.15 * draw.normal(size=(count * each, 64)), np.repeat(range(count), each)


@pytest.mark.parametrize("seed", range(3))
def test_similar_images_lie_near_each_other(seed):
    features, group = groups(np.random.default_rng(seed), 5, 40)
    places = place(features.astype(np.float32), seed=seed)
    assert places.shape == (200, 2)
    assert (places.min(), places.max()) == (0, 1)
    nearest = NearestNeighbors(n_neighbors=6).fit(places).kneighbors(places, return_distance=False)[:, 1:]
    assert (group[nearest] == group[:, None]).mean() > 0.95  # by chance a fifth
    np.testing.assert_array_equal(place(features.astype(np.float32), seed=seed), places)


@pytest.mark.parametrize("count", [1, 2, 3, 9, 10, 12])
def test_few_images_and_equal_images(count):
    draw = np.random.default_rng(0)
    for features in (draw.normal(size=(count, 8)), np.ones((count, 8))):
        places = place(features.astype(np.float32), seed=0)
        assert places.shape == (count, 2)
        assert np.isfinite(places).all()


def test_the_page_holds_all_images_with_labels_and_predictions(photo_folder, probe_run, tmp_path):
    found = saccade.embed(photo_folder, network=probe_run, map_to=tmp_path / "map.html")
    page = (tmp_path / "map.html").read_text()
    values = values_of(page)
    assert values["paths"] == list(found.paths)
    assert [values["names"][label] for label in values["columns"]["label"]] == list(found.labels)
    predictions = saccade.predict(probe_run, [photo_folder / path for path in found.paths], top=1)
    assert [values["names"][label] for label in values["columns"]["prediction"]] == [
        one.top[0].class_name for one in predictions
    ]
    (sheet,) = re.findall(r'<img class="sheet" src="data:image/webp;base64,([^"]+)"', page)
    thumbnails = Image.open(io.BytesIO(base64.b64decode(sheet))).convert("RGB")
    side = values["side"]
    assert thumbnails.size == (values["across"] * side, -(-len(found) // values["across"]) * side)
    for number in (0, 30, 79):
        row, column = divmod(number, values["across"])
        shown = thumbnails.crop((column * side, row * side, (column + 1) * side, (row + 1) * side))
        original = Image.open(photo_folder / found.paths[number]).resize((side, side), Image.Resampling.LANCZOS)
        assert np.abs(np.asarray(shown, float) - np.asarray(original, float)).mean() < 12
    assert "http" not in page.replace("http-equiv", "")


def test_a_map_of_unlabeled_images_has_no_colors(photographs, tmp_path):
    folder = tmp_path / "one"
    (folder / "two").mkdir(parents=True)
    for path in sorted(photographs.rglob("*.jpg"))[:3]:
        (folder / "two" / f"<!--<script>{path.name}").write_bytes(path.read_bytes())
    saccade.embed(folder, map_to=tmp_path / "map.html")
    values = values_of((tmp_path / "map.html").read_text())
    assert values["columns"] == {}
    assert len(values["paths"]) == 3


def test_of_many_images_a_sample_is_shown(photo_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(image_map, "MAX_IMAGES", 30)
    found = saccade.embed(photo_folder, map_to=tmp_path / "map.html", seed=1)
    saccade.embed(photo_folder, map_to=tmp_path / "again.html", seed=1)
    saccade.embed(photo_folder, map_to=tmp_path / "other.html", seed=2)
    page, again, other = ((tmp_path / f"{name}.html").read_text() for name in ("map", "again", "other"))
    assert page == again
    assert "the map shows a random sample of 30 of 80 images, seed 1" in page
    assert set(values_of(page)["paths"]) < set(found.paths)
    assert values_of(page)["paths"] != values_of(other)["paths"]


def test_the_page_is_never_too_large(photo_folder, tmp_path, monkeypatch):
    sizes = []
    for limit in (15_000_000, 200_000, 60_000):
        monkeypatch.setattr(image_map, "MAX_BYTES", limit)
        saccade.embed(photo_folder, map_to=tmp_path / f"{limit}.html")
        sizes.append((tmp_path / f"{limit}.html").stat().st_size)
        assert sizes[-1] < limit
    monkeypatch.setattr(image_map, "MAX_BYTES", 10_000)
    with pytest.raises(DataError, match="too large"):
        saccade.embed(photo_folder, map_to=tmp_path / "small.html")
    assert not (tmp_path / "small.html").exists()


def test_the_page_in_a_browser(photo_folder, probe_run, tmp_path):
    found = saccade.embed(photo_folder, network=probe_run, map_to=tmp_path / "map.html")
    values = values_of((tmp_path / "map.html").read_text())
    with opened(tmp_path / "map.html", tmp_path / "profile") as browser:
        canvas, about = (browser.find_element(By.ID, name) for name in ("canvas", "about"))
        column = Select(browser.find_element(By.ID, "column"))
        assert [option.text for option in column.options] == ["label", "prediction", "mistake"]
        legend = [item.text for item in browser.find_elements(By.CSS_SELECTOR, "#legend button")]
        assert sorted(legend) == ["flower (40)", "palace (40)"]
        WebDriverWait(browser, 10).until(lambda _: has_drawn(browser))
        # The first image, found by its place on the page and by the keyboard.
        width, height = canvas.size["width"], canvas.size["height"]
        left, top = ((each / values["unit"] - 0.5) * 0.92 * min(width, height) for each in values["places"][0])
        ActionChains(browser).move_to_element_with_offset(canvas, round(left), round(top)).click().perform()
        assert about.text.splitlines()[0] in found.paths  # another image may lie above it
        canvas.send_keys(Keys.ESCAPE, "n")
        first = about.text.splitlines()
        assert first[0] == found.paths[0]
        assert first[1:] == [f"label: {found.labels[0]}", f"prediction: {prediction_of(values, 0)}"]
        before = canvas.screenshot_as_png
        canvas.send_keys("+", "+", Keys.ARROW_LEFT)
        WebDriverWait(browser, 10).until(lambda _: canvas.screenshot_as_png != before)
        canvas.send_keys("0")
        column.select_by_visible_text("mistake")
        shown = {item.text.partition(" (")[0] for item in browser.find_elements(By.CSS_SELECTOR, "#legend button")}
        wrong = sum(a != b for a, b in zip(values["columns"]["label"], values["columns"]["prediction"], strict=True))
        assert shown == ({"correct", "incorrect"} if wrong else {"correct"})


def has_drawn(browser):
    """Return whether the canvas holds several colors."""
    script = """
        const canvas = document.getElementById("canvas"), pen = canvas.getContext("2d");
        return new Set(new Uint32Array(pen.getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size;
    """
    return browser.execute_script(script) > 50


def prediction_of(values, position):
    return values["names"][values["columns"]["prediction"][position]]
