import json

import numpy as np
import pytest

import saccade
from saccade.atomic_io import atomic_write
from saccade.errors import RunError
from saccade.runs.run import CARD_MARK, Run


def test_a_run_directory_holds_the_documented_files(tiny_run):
    names = {path.name for path in tiny_run.path.iterdir()}
    assert names >= {
        "recipe.json",
        "data.json",
        "environment.json",
        "status.json",
        "history.csv",
        "timings.csv",
        "history.png",
        "weights.safetensors",
        "model.keras",
        "validation.npz",
    }
    assert not [name for name in names if name.startswith(".tmp")]


def test_an_opened_run_equals_the_trained_run(tiny_run):
    opened = Run.open(tiny_run.path)
    assert opened == tiny_run
    assert opened.class_names == ("null", "one", "two")
    assert (opened.preprocessing.height, opened.preprocessing.width) == (32, 32)
    assert opened.status().state == "finished"
    assert opened.environment().cores >= 1
    phases = [(record.epoch, record.phase) for record in opened.history()]
    assert phases == [*((epoch, "plain") for epoch in range(1, 5)), (5, "augmented")]


def test_the_history_holds_no_clock_times(tiny_run):
    header = (tiny_run.path / "history.csv").read_text().splitlines()[0]
    assert header == "epoch,phase,steps,learning_rate,loss,accuracy,validation_loss,validation_accuracy"
    assert (tiny_run.path / "timings.csv").read_text().startswith("epoch,seconds,images_per_second\n")


def test_the_kept_images_are_validation_images(tiny_run):
    images, labels = tiny_run.validation_images()
    assert images.shape == (len(labels), 32, 32, 3)
    assert len(labels) == tiny_run.data.num_images["validation"] == 12
    assert sorted(np.bincount(labels)) == [4, 4, 4]


@pytest.mark.parametrize(
    ("what", "found"), [("nothing", "nothing of that name"), ("file", "a file"), ("empty", "a directory")]
)
def test_a_path_that_is_no_run_is_an_error(tmp_path, what, found):
    path = tmp_path / what
    if what == "file":
        path.write_text("")
    elif what == "empty":
        path.mkdir()
    with pytest.raises(RunError, match="is not a run") as caught:
        Run.open(path)
    assert found in str(caught.value.found)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("data.json", lambda record: record | {"extra": 1}),
        ("data.json", lambda record: record | {"class_names": ["one"]}),
        ("data.json", lambda record: record | {"unreadable": "many"}),
        ("recipe.json", lambda record: record | {"network": "os.system"}),
        ("recipe.json", lambda record: record | {"momentum": 0.9}),
    ],
)
def test_the_error_for_a_damaged_record_names_the_file(run_copy, file, change):
    path = run_copy.path / file
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    with pytest.raises(RunError, match=f"{file}.* is damaged or of another version"):
        Run.open(run_copy.path)


def test_damaged_and_missing_weights_are_errors(run_copy):
    weights = run_copy.path / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(RunError, match="damaged"):
        Run.open(run_copy.path).weights()
    weights.unlink()
    with pytest.raises(RunError, match="has no weights"):
        Run.open(run_copy.path).weights()


def test_an_atomic_write_that_fails_leaves_the_old_file(tmp_path):
    target = tmp_path / "report.json"
    target.write_text("old")

    def fail_half_way():
        with atomic_write(target) as path:
            path.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail_half_way()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_remove_results_leaves_the_files_of_the_user(run_copy):
    run = run_copy
    results = {
        *("report.json", "predictions.safetensors", "confusion_matrix.png", "predictions.png", "report.html"),
        *("report-validation.json", "predictions-train.safetensors", "robustness.json", "robustness-train.png"),
        *("report-test-photos-1a2b3c4d.json", "predictions-test-two-words-1a2b3c4d.png"),
        *("predictions-validation.safetensors",),
    }
    own = {"report-final.json", "report-test-notes.json", "exports/report.json", "robustness.txt", "my-report.html"}
    before = {path.name for path in run.path.iterdir()} - results
    (run.path / "exports").mkdir()
    for name in results | own:
        (run.path / name).write_text("mine")
    (run.path / "README.md").write_text("My notes.")
    assert run.remove_results()
    left = {str(path.relative_to(run.path)) for path in run.path.rglob("*") if path.is_file()}
    assert left == before | own | {"README.md"}
    assert not run.remove_results()
    (run.path / "README.md").write_text(f"---\n---\n{CARD_MARK}\n")
    assert run.remove_results()
    assert not (run.path / "README.md").exists()


@pytest.mark.parametrize("contents", ["", "x\n", "path,split\n", "HEADER\n"], ids=repr)
def test_a_damaged_split_file_is_an_error_wherever_the_split_matters(run_copy, tiny_folder, tmp_path, contents):
    header = (run_copy.path / "split.csv").read_text(encoding="utf-8").splitlines()[0]
    (run_copy.path / "split.csv").write_text(contents.replace("HEADER", header), encoding="utf-8")
    with pytest.raises(RunError, match=r"split\.csv' is damaged"):
        saccade.evaluate(run_copy)
    with pytest.raises(RunError, match=r"split\.csv' is damaged"):
        saccade.train(tiny_folder, recipe="folder", epochs=1, out=tmp_path / "new", reuse_split=run_copy)


def test_a_finished_run_without_its_weights_is_not_sent_to_be_resumed(run_copy):
    (run_copy.path / "weights.safetensors").unlink()
    with pytest.raises(RunError, match="although its training is finished") as caught:
        saccade.evaluate(run_copy)
    assert caught.value.remedy == "copy the run again, with all its files"
