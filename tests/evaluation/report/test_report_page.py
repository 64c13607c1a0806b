"""Report page and model card: contents, escaping, and the page in a browser."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from tests.browser import opened

import saccade
from saccade.cli.main import cli
from saccade.data.dataset import SplitName
from saccade.data.splits import in_order
from saccade.errors import DataNotFoundError, EvaluationError
from saccade.evaluation.metrics import measure
from saccade.runs import run_split
from saccade.runs.records import SourceRecord
from saccade.runs.run import Run

HOSTILE = '<img src=x onerror="alert(1)">' + 200 * "w"  # near the maximum length of a folder name


@pytest.fixture(scope="module")
def reported(tiny_run, tmp_path_factory):
    """Copy of the run with an evaluation and a report."""
    run = Run.open(shutil.copytree(tiny_run.path, tmp_path_factory.mktemp("reported") / "run"))
    made = saccade.report(run)
    assert made.page == run.path / "report.html"
    assert made.card == run.path / "README.md"
    return run


def test_the_page_is_one_file_with_the_metrics_of_evaluate(reported):
    page = (reported.path / "report.html").read_text()
    report = json.loads((reported.path / "report.json").read_text())
    assert f"{report['accuracy']:.2%}" in page
    assert f"{report['accuracy_interval'][0]:.2%} to {report['accuracy_interval'][1]:.2%}" in page
    for name in reported.class_names:
        assert f'<th scope="row">{name}</th>' in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert len(page) < 5e6
    assert 'id="unlike"' not in page  # with 12 validation images, no image can be marked


@pytest.mark.long
def test_a_run_is_evaluated_only_without_an_evaluation_of_its_weights(reported):
    first = (reported.path / "report.json").stat().st_mtime_ns
    saccade.report(reported)
    assert (reported.path / "report.json").stat().st_mtime_ns == first
    weights = reported.weights()
    reported.write_weights({name: np.roll(value, 1) for name, value in weights.items()})
    saccade.report(reported)
    reported.write_weights(weights)
    assert (reported.path / "report.json").stat().st_mtime_ns != first
    saccade.report(reported)


def test_data_and_validation_predictions_are_read_once(run_copy, monkeypatch):
    calls = []

    def count(owner, name):
        function = getattr(owner, name)

        def counted(*arguments, **options):
            calls.append((name, *arguments[1:]))
            return function(*arguments, **options)

        monkeypatch.setattr(owner, name, counted)

    (run_copy.path / "report.json").unlink(missing_ok=True)
    count(run_split, "load_with_preprocessing")
    saccade.report(run_copy)
    assert len(calls) == 1
    assert (run_copy.path / "report.json").exists()
    count(Run, "predictions")
    saccade.report(run_copy)
    assert calls.count(("predictions", "predictions-validation.safetensors")) == 1


def test_changed_data_is_an_error(reported, tiny_folder, tmp_path):
    data = shutil.copytree(tiny_folder, tmp_path / "data")
    run = Run.open(shutil.copytree(reported.path, tmp_path / "run"))
    record = json.loads((run.path / "data.json").read_text())
    (run.path / "data.json").write_text(json.dumps(record | {"source": str(data)}))
    next((data / "test" / "one").iterdir()).unlink()
    with pytest.raises(EvaluationError, match="has changed since"):
        saccade.report(run.path)


def test_the_error_for_missing_data_names_the_data_option(reported, tmp_path):
    run = Run.open(shutil.copytree(reported.path, tmp_path / "run"))
    record = json.loads((run.path / "data.json").read_text())
    (run.path / "data.json").write_text(json.dumps(record | {"source": str(tmp_path / "gone")}))
    for use in (saccade.report, saccade.evaluate):
        with pytest.raises(DataNotFoundError, match="there is no data called") as caught:
            use(run.path)
        assert "--data" in str(caught.value.remedy)
    with pytest.raises(DataNotFoundError) as caught:
        saccade.predict(run.path, f"{tmp_path / 'gone'}:test:0")
    assert caught.value.remedy is None


def test_the_page_has_the_test_images_of_split_csv(run_copy, tiny_folder, tmp_path):
    """The data has no test split, and split.csv holds the test split of a previous run."""
    data = saccade.load(shutil.copytree(tiny_folder / "train", tmp_path / "pool"))
    images = in_order([data.splits["train"], data.splits["test"]])
    of_each: dict[SplitName, slice] = {"test": slice(0, 8), "validation": slice(8, 12), "train": slice(12, 40)}
    places = np.arange(120).reshape(3, 40)
    splits = {name: images.subset(places[:, own].ravel()) for name, own in of_each.items()}
    record = json.loads((run_copy.path / "data.json").read_text())
    changes = {"source": str(tmp_path / "pool"), "fingerprint": data.fingerprint}
    (run_copy.path / "data.json").write_text(json.dumps(record | changes))
    run = Run.open(run_copy.path)
    run.write_split(splits)
    (run.path / "report.json").unlink(missing_ok=True)  # another test may have evaluated the original run

    page = saccade.report(run).page.read_text()

    (images_of_page,) = re.findall(r'<script type="application/json" id="images">(.*?)</script>', page)
    shown = json.loads(images_of_page)
    assert {image["name"] for image in shown["images"].values()} == set(splits["test"].names)
    assert json.loads((run.path / "report.json").read_text())["n"] == 24


def test_test_images_in_the_training_data_are_reported(reported, tmp_path):
    """The data's own splits may contain a file twice."""
    run = Run.open(shutil.copytree(reported.path, tmp_path / "run"))
    header, *rows = (run.path / "split.csv").read_text().splitlines()
    tested = [row for row in rows if row.startswith("test,")]
    again = [row.replace("test,", "train,", 1) for row in tested[:5]]
    again += [row.replace("test,", "validation,", 1) for row in tested[5:7]]
    (run.path / "split.csv").write_text("\n".join([header, *rows, *again, ""]))
    predictions = run.predictions("predictions.safetensors")
    rest = measure(predictions.labels[7:], predictions.probabilities[7:])

    saccade.report(run)

    card, page = ((run.path / name).read_text() for name in ("README.md", "report.html"))
    clean_card, clean_page = ((reported.path / name).read_text() for name in ("README.md", "report.html"))
    assert "5 of them are also training images, 2 of them are also validation images" in card
    assert f"On the other 53 the accuracy is {rest.accuracy:.2%}" in card
    assert "7 of them are also training or validation images" in page
    assert "test images that were trained on as well, as identical files: 5" in page
    for claim, clean, message in (
        ("by content hash, none of them is a training or validation image", clean_card, card),
        ("none of them are training or validation images", clean_page, page),
    ):
        assert claim in clean
        assert claim not in message


def test_card_and_page_of_a_transfer_have_a_note_on_the_pretraining(reported, tmp_path):
    run = Run.open(shutil.copytree(reported.path, tmp_path / "run"))
    run.write_source(SourceRecord(name="older-run", fingerprint="0" * 64))
    saccade.report(run)
    for name in ("README.md", "report.html"):
        assert "the training images of older-run" in (run.path / name).read_text()
        assert "the training images of" not in (reported.path / name).read_text()


def test_a_run_without_incorrect_predictions_has_a_page(reported, tmp_path):
    run = Run.open(shutil.copytree(reported.path, tmp_path / "run"))
    predictions = run.predictions("predictions.safetensors")
    perfect = np.eye(3, dtype=np.float32)[predictions.labels]
    run.write_predictions("predictions.safetensors", replace(predictions, probabilities=perfect))

    page = saccade.report(run).page.read_text()

    assert "<p>There are no incorrect predictions.</p>" in page
    assert "<h3>Correct predictions</h3>" in page
    assert "<h3>Incorrect predictions</h3>" not in page


@pytest.mark.parametrize(("mistakes", "shown"), [(2, False), (3, True)])
def test_a_pair_of_classes_with_one_or_two_confusions_is_not_shown(reported, tmp_path, mistakes, shown):
    run = Run.open(shutil.copytree(reported.path, tmp_path / "run"))
    predictions = run.predictions("predictions.safetensors")
    probabilities = np.eye(3, dtype=np.float32)[predictions.labels]
    incorrect = np.flatnonzero(predictions.labels == 0)[:mistakes]
    probabilities[incorrect] = [0, 0.9, 0.1]
    run.write_predictions("predictions.safetensors", replace(predictions, probabilities=probabilities))

    page = saccade.report(run).page.read_text()

    assert (f"<h3>{mistakes} confusions between two classes</h3>" in page) == shown
    assert ("No pair of classes has more than two confusions." in page) != shown
    assert "of the incorrect predictions (" not in page


@pytest.mark.long
def test_names_are_escaped(tiny_folder, tmp_path, tmp_path_factory):
    data = shutil.copytree(tiny_folder, tmp_path / "data")
    for split in ("train", "test"):
        (data / split / "one").rename(data / split / HOSTILE.replace("/", ""))
    run = saccade.train(data, recipe="scheduled", epochs=1, out=tmp_path / "run", progress=False)
    assert HOSTILE in run.class_names
    saccade.report(run)
    page = (run.path / "report.html").read_text()
    assert "<img src=x" not in page
    assert "<img src=x" not in (run.path / "README.md").read_text()
    with opened(run.path / "report.html", tmp_path_factory.mktemp("profile")) as browser:
        for button in browser.find_elements("css selector", "[data-cell]"):
            browser.execute_script("arguments[0].click()", button)
            assert not browser.find_elements("css selector", 'img[src="x"]')
        assert HOSTILE in browser.find_element("id", "classes").find_element("xpath", "following::table").text
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")


def test_a_cell_shows_its_images_and_a_column_sorts(reported, tmp_path):
    predictions = reported.predictions("predictions.safetensors")
    matrix = measure(predictions.labels, predictions.probabilities).confusion_matrix
    with opened(reported.path / "report.html", tmp_path) as browser:
        cells = {cell.get_attribute("data-cell"): cell for cell in browser.find_elements("css selector", "[data-cell]")}
        assert set(cells) == {f"{row},{column}" for row, column in zip(*np.nonzero(matrix), strict=True)}
        for place, cell in cells.items():
            row, column = map(int, place.split(","))
            cell.send_keys(" ")  # by keyboard
            shown = browser.find_element("id", "cell")
            names = reported.class_names
            assert f"{names[row]} predicted as {names[column]}: {matrix[row, column]}" in shown.text
            images = shown.find_elements("tag name", "img")
            assert len(images) == min(matrix[row, column], 24)
            assert all(image.get_property("naturalWidth") == 32 for image in images)
            assert all(f"/{names[row]}/" in image.get_attribute("alt") for image in images)
        recall = browser.find_elements("css selector", ".sortable thead button")[2]
        for order, sign in (("descending", -1), ("ascending", 1)):
            recall.send_keys(" ")
            header = browser.find_elements("css selector", ".sortable thead th")[2]
            assert header.get_attribute("aria-sort") == order
            recalls = [row.text for row in browser.find_elements("css selector", ".sortable tbody td:nth-child(3)")]
            assert (np.diff(np.array(recalls, float)) * sign >= 0).all()


def test_the_page_fits_a_phone(reported, tmp_path):
    with opened(reported.path / "report.html", tmp_path, size=(380, 800)) as browser:
        metrics = {"width": 380, "height": 800, "deviceScaleFactor": 2, "mobile": True}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 380


def test_the_card_has_front_matter_and_an_edited_card_is_not_overwritten(reported):
    card = reported.path / "README.md"
    _, front, text = card.read_text().split("---\n", 2)
    accuracy = json.loads((reported.path / "report.json").read_text())["accuracy"]
    assert f"    - {{type: accuracy, value: {accuracy:.6f}}}" in front.splitlines()
    assert "pipeline_tag: image-classification" in front
    assert f"{accuracy:.2%}" in text
    card.write_text("my own words")
    result = CliRunner().invoke(cli, ["report", str(reported.path)])
    assert result.exit_code == 0, result.output
    assert f"written: {reported.path / 'report.html'}" in result.stdout
    assert f"written: {card}" not in result.stdout
    assert str(card) in result.stdout
    assert card.read_text() == "my own words"
    card.unlink()
