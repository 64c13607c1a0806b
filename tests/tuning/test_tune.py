"""Studies from data to the final comparison: killed, resumed and shared between processes."""

import json
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import pytest
from tests.tuning.studies import GOOD, POOR, SEARCH, SEARCH_BELOW, results

import saccade
from saccade.errors import DataError, RecipeError, TuningError
from saccade.tuning import trial as trial_module
from saccade.tuning.result import Trial
from saccade.tuning.tune import Budget

TRIALS = 3
BASE = ["--recipe", "folder", "--epochs", "4", "--set", "validation_split=0.3", "--set", "label_smoothing=0"]
# Options of POOR with SEARCH, and of GOOD with SEARCH_BELOW.
IMPROVING = [*BASE, "--set", "learning_rate=1e-7", "--search", "learning_rate=0.0005..0.01"]
WORSENING = [*BASE, "--set", "learning_rate=0.003", "--search", "learning_rate=1e-8..1e-6"]


def tune(dataset, out, **options):
    given: dict[str, Any] = {"trials": TRIALS, "recipe": POOR, "search": SEARCH, "progress": False}
    return saccade.tune(dataset, out=out, **given | options)


@pytest.fixture(scope="module")
def tuned(dataset, tmp_path_factory):
    """Return a finished study."""
    return tune(dataset, tmp_path_factory.mktemp("tuned") / "study")


@pytest.mark.nightly
def test_the_first_trial_is_the_unchanged_recipe_and_the_best_trial_is_better(tuned):
    first, *others = tuned.trials
    assert (first.number, len(others)) == (0, TRIALS - 1)
    assert POOR.with_settings(first.settings) == POOR
    assert tuned.best.accuracy == max(trial.accuracy for trial in tuned.trials)
    assert tuned.best.accuracy > first.accuracy
    assert tuned.best_recipe == POOR.with_settings(tuned.best.settings)


@pytest.mark.nightly
def test_every_trial_is_measured_on_the_same_images(tuned, dataset):
    kept = saccade.Run.open(tuned.folder / "trials" / str(tuned.best.number))
    assert kept.recipe == tuned.best_recipe
    held_out = {content for content, split in kept.split_of().items() if split == "validation"}
    assert len(held_out) == tuned.num_validation_images == 36
    predictions = kept.predictions("predictions-validation.safetensors")
    assert {bytes(row).hex() for row in predictions.hashes} == held_out
    correct = (predictions.probabilities.argmax(axis=1) == predictions.labels).mean()
    assert correct == pytest.approx(tuned.best.accuracy)
    # The runs and the locks of the other trials are removed.
    assert [path.name for path in (tuned.folder / "trials").iterdir()] == [str(tuned.best.number)]


@pytest.mark.nightly
def test_the_final_comparison_uses_other_seeds_and_the_test_split(tuned):
    comparison = tuned.comparison
    assert (comparison.split, comparison.n) == ("test", 60)
    winner, default = comparison.groups
    for group, recipe in ((winner, tuned.best_recipe), (default, POOR)):
        assert group.seeds == (1, 2, 3)
        for path, seed in zip(group.runs, group.seeds, strict=True):
            assert saccade.Run.open(path).recipe == recipe.with_settings({"seed": seed})
    assert winner.accuracy > default.accuracy
    assert comparison.pairs[0].verdict == "first better"
    assert tuned.summary.startswith("the best trial is better than the unchanged recipe by ")


@pytest.mark.nightly
def test_the_files_contain_the_result(tuned):
    assert {path.name for path in tuned.files} == {
        *("tuning.html", "result.json", "comparison.json", "comparison.png", "differences.png")
    }
    assert all(path.is_file() for path in tuned.files)
    assert json.loads((tuned.folder / "result.json").read_text()) == json.loads(json.dumps(tuned.to_dict()))
    page = (tuned.folder / "tuning.html").read_text()
    assert tuned.summary in page
    assert f"{tuned.best.accuracy:.2%}" in page


@pytest.mark.nightly
def test_a_second_call_trains_nothing_and_returns_the_same_result(tuned, dataset, monkeypatch):
    def forbidden(*_, **__):
        raise AssertionError("trained")

    monkeypatch.setattr(trial_module, "train", forbidden)
    monkeypatch.setattr("saccade.training.repeated_training.train", forbidden)
    again, before = tune(dataset, tuned.folder).to_dict(), tuned.to_dict()
    for comparison in (again["comparison"], before["comparison"]):
        del comparison["notes"]  # the first call has notes about runs that were not evaluated yet
    assert again == before


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"recipe": POOR.with_settings({"seed": 3})}, "seed = 0, not 3"),
        ({"search": {"learning_rate": "0.1..0.2"}}, "space = {"),
        ({"recipe": POOR.with_epochs(5)}, "plain_epochs = 4, not 5"),
    ],
)
def test_another_study_in_the_directory_is_an_error_and_is_not_changed(tuned, dataset, options, found):
    before = (tuned.folder / "study.db").read_bytes()
    with pytest.raises(TuningError, match="is another one") as caught:
        tune(dataset, tuned.folder, **options)
    assert found in str(caught.value)
    assert (tuned.folder / "study.db").read_bytes() == before


@pytest.mark.nightly
def test_other_images_and_other_versions_are_an_error(tuned, dataset, tmp_path):
    with pytest.raises(TuningError) as caught:
        tune(replace(dataset, fingerprint="0" * 64), tuned.folder)
    assert "fingerprint = " in str(caught.value)
    record = json.loads((tuned.folder / "tuning.json").read_text())
    record["versions"]["optuna"] = "1.0"
    (tmp_path / "tuning.json").write_text(json.dumps(record))
    with pytest.raises(TuningError) as caught:
        tune(dataset, tmp_path)
    assert "found: optuna 1.0, not " in str(caught.value)


def test_invalid_arguments_are_errors_before_any_file_is_written(dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for budget in ({"trials": None}, {"minutes": 1.0}, {"trials": 0}):
        with pytest.raises(TuningError, match="requires a limit"):
            tune(dataset, None, **budget)
    with pytest.raises(RecipeError, match="did you mean 'horizontal_flip'"):
        tune(dataset, None, search={"horizontal_flips": "true"})
    with pytest.raises(TuningError, match="without validation images"):
        tune(dataset, None, recipe=POOR.with_settings({"validation_split": 0}))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(TuningError, match="exists already; nothing is overwritten"):
        tune(dataset, tmp_path / "full")
    with pytest.raises(DataError):
        tune("no-such-data", None)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(TuningError, match="needs Optuna") as caught:
        tune(dataset, None)
    assert caught.value.remedy == "pip install 'saccade[tune]'"
    assert [path.name for path in tmp_path.iterdir()] == ["full"]


def test_a_trial_begins_only_if_the_time_suffices_for_it_and_the_final_trainings():
    first, second = (
        Trial(number, {}, "complete", 0.5 + number / 10, (), seconds=10.0 * (1 + number)) for number in (0, 1)
    )
    now = time.monotonic()
    # A trial of 20 s; three final trainings of 10 s and three of 20 s, times 1.25; 20 s for the rest.
    assert Budget(None, now + 20 + 1.25 * 90 + 20 + 60).allows((first, second))
    assert not Budget(None, now + 20 + 1.25 * 90 + 20 - 1).allows((first, second))
    assert Budget(None, now - 1).allows(())
    assert Budget(5, None).allows((first, second))


def test_a_very_short_budget_allows_one_trial_and_no_comparison(dataset, tmp_path):
    found = tune(dataset, tmp_path / "study", trials=None, minutes=0.001)
    assert [trial.number for trial in found.trials] == [0]
    assert found.comparison is None
    assert "too short for a second trial" in " ".join(found.notes)


def started(tiny_folder, out, *more):
    command = [sys.executable, "-m", "saccade", "tune", str(tiny_folder), "--search", "batch_size=16,32"]
    given = [*command, "--out", str(out), *map(str, more)]
    return subprocess.Popen(given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def killed_at(process, beginning, seconds):
    """Kill a process some seconds after a line with a certain beginning; return `True` if the kill succeeded."""
    with process:
        for line in process.stderr:
            if line.startswith(beginning):
                time.sleep(seconds)
                process.send_signal(signal.SIGKILL)
                return process.wait(timeout=60) == -signal.SIGKILL
        return False


@pytest.mark.nightly
def test_two_processes_of_which_one_is_killed_run_the_same_trials(tiny_folder, dataset, tmp_path):
    """The first trials are proposed at random, so the number of processes does not change them."""
    out = tmp_path / "shared"
    killed, left = (started(tiny_folder, out, *WORSENING, "--trials", TRIALS) for _ in range(2))
    assert killed_at(killed, "trial ", 0.3)
    _, output = left.communicate(timeout=300)
    assert left.returncode == 0, output
    # This process resumed the trial of the killed process.
    assert sorted(re.findall(r"^trial (\d): complete", output, flags=re.MULTILINE)) == ["0", "1", "2"]
    options = {"recipe": GOOD, "search": SEARCH_BELOW}
    shared, whole = (tune(dataset, tmp_path / name, **options) for name in ("shared", "whole"))
    assert results(shared) == results(whole)
    assert len({str(trial.settings) for trial in whole.trials}) == TRIALS


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(3))
def test_a_study_killed_five_times_has_the_same_result(tiny_folder, tmp_path, seed):
    """Each kill is at a random moment of a random trial, the last kill in the final trainings."""
    draw = random.Random(seed)
    options = [*IMPROVING, "--trials", 12]
    whole = json.loads(started(tiny_folder, tmp_path / "whole", *options, "--json").communicate(timeout=3000)[0])
    numbers = sorted(draw.sample(range(1, 12), 4))
    for beginning in [*(f"trial {number} " for number in numbers), f"run: {tmp_path / 'killed' / 'final'}"]:
        assert killed_at(started(tiny_folder, tmp_path / "killed", *options), beginning, draw.uniform(0, 1.5))
    killed = json.loads(started(tiny_folder, tmp_path / "killed", *options, "--json").communicate(timeout=3000)[0])
    best = [f"trial {each['best']}, {each['trials'][each['best']]['accuracy']:.2%}" for each in (killed, whole)]
    sys.stderr.write(f"killed in trials {numbers} and at the end: best {best[0]}; never killed: best {best[1]}\n")
    assert killed["trials"][killed["best"]]["accuracy"] >= whole["trials"][whole["best"]]["accuracy"]
    without_clock = [[trial | {"seconds": None} for trial in each["trials"]] for each in (whole, killed)]
    assert without_clock[0] == without_clock[1]
    assert killed["verdict"] == whole["verdict"]
