"""Evaluation on other data than that of the run, typed as commands."""

import shutil

import numpy as np
import pytest
from PIL import Image
from tests.snippets import run_here

from saccade.data.sources.own_folders import is_own_folder

# Colors of the classes in the shared data, where the names of red and blue are exchanged.
COLORS = {"blue": (190, 63, 63), "green": (72, 167, 84), "red": (66, 90, 204)}


def save(path, color, seed):
    rng = np.random.default_rng(seed)
    pixels = np.clip(np.array(color) + rng.normal(0, 25, (32, 32, 3)), 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture(scope="module")
def desk(tmp_path_factory, field_cases):
    """A folder with a run of three colors, its data, and the shared new data."""
    folder = tmp_path_factory.mktemp("desk")
    for name, color in COLORS.items():
        for number in range(30):
            save(folder / "colors" / name / f"{number}.png", color, hash_of(name, number))
    done = run_here(
        ["train", "colors", "--recipe", "quick", "--epochs", "3", "--out", "run", "--set", "image_size=32"], folder
    )
    assert done.code == 0, done.stderr
    shutil.copytree(field_cases / "new-data", folder / "new-data")
    return folder


def hash_of(name, number):
    return 1000 * sorted(COLORS).index(name) + number


def evaluated(desk, *arguments):
    done = run_here(["evaluate", "run", *arguments, "--json"], desk)
    assert done.code == 0, done.stderr
    return done.json


def supports(report):
    return {name: scores["num_images"] for name, scores in report["per_class"].items()}


def test_a_folder_with_a_test_split_alone_is_scored_whole(desk):
    report = evaluated(desk, "--data", "new-data/testonly")
    files = len([*(desk / "new-data/testonly").rglob("*.png")])
    assert (report["n"], sum(supports(report).values())) == (files, files)
    assert report["accuracy"] > 0.9


def test_missing_classes_have_no_support_and_the_others_are_scored_whole(desk):
    report = evaluated(desk, "--data", "new-data/fewer2")
    assert supports(report)["green"] == 0
    assert report["n"] == len([*(desk / "new-data/fewer2").rglob("*.png")])
    assert any("no images of the class green" in note for note in report["notes"])


def test_another_case_is_asked_about_and_accepted(desk):
    done = run_here(["evaluate", "run", "--data", "new-data/casey"], desk)
    assert done.code == 1
    assert "the data has classes that the run does not know" in done.stderr
    assert "what to do: if Blue is blue, add --ignore-case" in done.stderr
    report = evaluated(desk, "--data", "new-data/casey", "--ignore-case")
    assert report["n"] == len([*(desk / "new-data/casey").rglob("*.png")])


def test_images_that_the_run_knows_are_counted_and_left_out(desk):
    new = desk / "mixed"
    shutil.copytree(desk / "colors/blue", new / "blue")
    for number in range(6):
        save(new / "red" / f"new-{number}.png", COLORS["red"], 9000 + number)
    report = evaluated(desk, "--data", "mixed")
    with (desk / "run/split.csv").open() as stream:
        rows = [line for line in stream if "blue/" in line]
    recorded = {split: sum(row.startswith(split) for row in rows) for split in ("train", "validation", "test")}
    assert report["left_out"] == {split: recorded[split] for split in ("train", "validation")}
    assert supports(report) == {"blue": recorded["test"], "green": 0, "red": 6}
    done = run_here(["evaluate", "run", "--data", "mixed"], desk)
    counts = f"{recorded['train']} of its train split and {recorded['validation']} of its validation split"
    assert f"note: not scored, because the run knows identical images: {counts}" in done.stderr


def test_own_images_with_another_label_are_noted(desk):
    shutil.copytree(desk / "colors/blue", desk / "relabeled/green")
    for number in range(3):
        save(desk / "relabeled/red" / f"new-{number}.png", COLORS["red"], 9100 + number)
    done = run_here(["evaluate", "run", "--data", "relabeled"], desk)
    number = len([*(desk / "colors/blue").iterdir()])
    assert done.code == 0
    note = next(line for line in done.stderr.splitlines() if "another label" in line)
    assert note.startswith(f"note: {number} images with another label than in the training, such as green/")
    assert note.endswith("(green here, blue in the training)")


def test_a_runs_own_data_with_labels_exchanged_is_scored_with_a_note(desk):
    for folder, name in (("blue", "green"), ("green", "blue"), ("red", "red")):
        shutil.copytree(desk / "colors" / folder, desk / "exchanged" / name)
    report = evaluated(desk, "--data", "exchanged")
    assert report["n"] == evaluated(desk)["n"]
    assert any("images with another label than in the training" in note for note in report["notes"])
    assert not any("another label" in note for note in evaluated(desk)["notes"])


def test_the_runs_own_data_at_another_place_keeps_its_test_split(desk):
    shutil.copytree(desk / "colors", desk / "elsewhere/here")
    own, elsewhere = evaluated(desk), evaluated(desk, "--data", "elsewhere/here")
    assert elsewhere["left_out"] == {}
    assert (elsewhere["n"], elsewhere["accuracy"], elsewhere["confusion_matrix"]) == (
        own["n"],
        own["accuracy"],
        own["confusion_matrix"],
    )


def test_an_exported_model_is_scored_on_other_data_too(desk):
    assert run_here(["export", "run", "--format", "onnx", "--out", "model.onnx"], desk).code == 0
    done = run_here(["evaluate", "model.onnx", "--data", "new-data/fewer2", "--json"], desk)
    assert done.json["n"] == evaluated(desk, "--data", "new-data/fewer2")["n"]


def test_the_accuracy_by_a_column_of_a_label_file(desk):
    rows = ["file_name,label,camera"]
    for number in range(60):
        color = sorted(COLORS)[number % 3]
        # The bad camera's images of blue show red.
        camera = "bad" if number % 4 == 0 else "good"
        shown = "red" if camera == "bad" and color == "blue" else color
        save(desk / "cameras" / f"{number}.png", COLORS[shown], 7000 + number)
        rows.append(f"{number}.png,{color},{camera}")
    (desk / "cameras/labels.csv").write_text("\n".join(rows))
    report = evaluated(desk, "--data", "cameras/labels.csv", "--by", "camera")
    assert report["n"] == 60
    values = {value["value"]: value for value in report["by"]["values"]}
    assert {name: value["n"] for name, value in values.items()} == {"bad": 15, "good": 45}
    assert values["bad"]["accuracy"] == pytest.approx(2 / 3)
    assert values["bad"]["differs"]
    assert evaluated(desk, "--data", "cameras", "--by", "camera")["by"] == report["by"]
    done = run_here(["evaluate", "run", "--data", "cameras", "--by", "camera"], desk)
    assert "bad: lower than on the other images, 100.00%, beyond chance" in done.stdout
    done = run_here(["evaluate", "run", "--data", "cameras", "--by", "site"], desk)
    assert done.code == 1
    assert "has no column 'site'" in done.stderr
    done = run_here(["evaluate", "run", "--by", "camera"], desk)
    assert done.code == 1
    assert "has no label file with the column 'camera'" in done.stderr


@pytest.mark.parametrize("label", ["", ",label"])
def test_the_accuracy_by_a_column_of_a_table_above_class_folders(desk, label):
    rows = [f"file_name,camera{label}"]
    folder = desk / f"shots{len(label)}"
    for number in range(30):
        color = sorted(COLORS)[number % 3]
        save(folder / "images" / color / f"{number}.png", COLORS[color], 9000 + number)
        rows.append(f"images/{color}/{number}.png,{'AB'[number % 5 == 0]}" + (f",{color}" if label else ""))
    (folder / "metadata.csv").write_text("\n".join(rows))
    report = evaluated(desk, "--data", folder.name, "--by", "camera")
    assert {value["value"]: value["n"] for value in report["by"]["values"]} == {"A": 24, "B": 6}
    done = run_here(["evaluate", "run", "--data", folder.name, "--by", "site"], desk)
    assert done.code == 1
    assert "has no column 'site'" in done.stderr


def test_a_threshold_needs_two_classes(desk):
    done = run_here(["evaluate", "run", "--threshold", "0.3"], desk)
    assert done.code == 1
    assert "a threshold separates two classes only" in done.stderr


def test_images_are_copied_by_their_predicted_class(desk):
    arguments = ["predict", "run", "new-data/testonly/test/red", "--copy-to", "sorted"]
    done = run_here(arguments, desk)
    assert done.code == 0
    files = {path.name for path in (desk / "new-data/testonly/test/red").iterdir()}
    assert {path.name for path in (desk / "sorted").rglob("*.png")} == files
    assert "copied to sorted: " in done.stderr
    assert is_own_folder(str(desk / "sorted"))  # within the data, its images are none of the data's
    again = run_here(arguments, desk)
    assert again.code == 1
    assert "'sorted' exists already; nothing is overwritten" in again.stderr
