"""Trials of a study: proposal, claim, pruning, interrupt and resumption."""

import os
import signal
from contextlib import suppress

import optuna
import pytest
from tests.tuning.studies import POOR

from saccade.errors import RecipeError, TrainingError, TuningError
from saccade.recipes import Recipe
from saccade.recipes.search_space import Choices, Range, search_space, text_of
from saccade.training.progress import Progress
from saccade.tuning.study import (
    Claim,
    Study,
    claim,
    conclude,
    ended_trials,
    importances,
    open_study,
    optuna_at_work,
    reopen_trial,
)
from saccade.tuning.trial import run_trial

SPACE = search_space(POOR, {"learning_rate": "1e-8..0.01"})


@pytest.fixture(autouse=True)
def quiet(tmp_path):
    with optuna_at_work(tmp_path):
        yield


def opened(folder, recipe=POOR, space=SPACE):
    (folder / "trials").mkdir(parents=True, exist_ok=True)
    return open_study(folder, recipe, space)


def claimed_of(study: Study, max_trials: int | None = None) -> Claim:
    """Return the claim on the next trial, which must exist."""
    claimed = claim(study, max_trials)
    assert claimed is not None
    return claimed


def simulated_accuracy(settings):
    """Return a substitute for the accuracy in tests without training."""
    return settings["learning_rate"] * 50 + settings["label_smoothing"]


def completed(study, count):
    """Claim and conclude a number of trials, and return their settings."""
    settings = []
    for _ in range(count):
        claimed = claimed_of(study)
        settings.append(dict(claimed.trial.params))
        with claimed.lock:
            conclude(study, claimed, simulated_accuracy(settings[-1]), seconds=1.0)
    return settings


def test_proposals_depend_only_on_seed_number_and_earlier_trials(tmp_path):
    whole = completed(opened(tmp_path / "whole"), 14)
    assert whole[0] == {key: getattr(POOR, key) for key in SPACE}
    halves = [*completed(opened(tmp_path / "halves"), 11), *completed(opened(tmp_path / "halves"), 3)]
    assert halves == whole
    other = completed(opened(tmp_path / "other", POOR.with_settings({"seed": 1})), 14)
    assert other[0] == whole[0]
    assert all(one != another for one, another in zip(whole[1:], other[1:], strict=True))
    for settings in whole:
        assert all(value in SPACE[key] for key, value in settings.items())
        assert f"{settings['learning_rate']:.3g}" in (f"{settings['learning_rate']:.6g}", "1e-08")


def test_each_searchable_key_has_a_number(tmp_path):
    space = dict(SPACE)
    for key in Recipe.model_fields:
        with suppress(RecipeError):  # for keys that cannot be searched
            space |= search_space(POOR, {key: text_of(getattr(POOR, key))})
    assert len(space) > 20
    assert completed(opened(tmp_path, space=space), 2)[1].keys() == space.keys()


def test_a_trial_belongs_to_one_process_until_its_lock_is_released(tmp_path):
    study = opened(tmp_path)
    first = claimed_of(study, 1)
    assert claim(opened(tmp_path), 1) is None
    second = claimed_of(opened(tmp_path), 2)
    assert (first.number, second.number) == (0, 1)
    first.lock.close()
    again = claimed_of(opened(tmp_path), 2)
    assert (again.number, again.trial.params) == (0, first.trial.params)
    assert claim(study, 2) is None
    for claimed in (second, again):
        claimed.lock.close()


def test_a_trial_that_kills_ten_processes_fails(dataset, tmp_path):
    study = opened(tmp_path)
    for deaths in range(10):
        claimed = claimed_of(study, 1)
        assert (claimed.number, claimed.deaths) == (0, deaths)
        claimed.lock.close()  # as the system does when a process is killed
    claimed = claimed_of(study, 1)
    with claimed.lock:
        assert run_trial(study, claimed, dataset, Progress())
    (trial,) = ended_trials(study)
    assert (trial.state, trial.reason) == ("failed", "10 processes were killed in this trial")


def test_recipe_values_outside_the_search_space_are_left_out_of_the_first_trial(tmp_path):
    space = {"learning_rate": Range(low=0.001, high=0.01), "batch_size": Choices(values=(32, 64))}
    first, second = completed_any(opened(tmp_path, space=space), 2)
    assert first == {"batch_size": 32}
    assert second.keys() == space.keys()


def completed_any(study, count):
    settings = []
    for number in range(count):
        claimed = claimed_of(study)
        settings.append(dict(claimed.trial.params))
        with claimed.lock:
            conclude(study, claimed, number / 10)
    return settings


def test_the_key_that_determines_the_accuracy_has_the_highest_importance(tmp_path):
    study = opened(tmp_path)
    assert importances(study) == {}
    for _ in range(20):
        claimed = claimed_of(study)
        with claimed.lock:
            conclude(study, claimed, claimed.trial.params["label_smoothing"])
    found = importances(study)
    assert sum(found.values()) == pytest.approx(1)
    assert next(iter(found)) == "label_smoothing"
    assert found["label_smoothing"] > 0.8


def test_a_trial_with_a_low_curve_is_pruned_and_its_run_removed(dataset, tmp_path):
    study = opened(tmp_path)
    for _ in range(5):
        claimed = claimed_of(study)
        for step in range(POOR.epochs):
            claimed.trial.report(0.9, step)
        with claimed.lock:
            conclude(study, claimed, 0.9, seconds=1.0)
    claimed = claimed_of(study)
    with claimed.lock:
        assert run_trial(study, claimed, dataset, Progress())
    trial = ended_trials(study)[-1]
    assert trial.state == "pruned"
    # No trial is pruned in the first quarter of the epochs, here one epoch.
    assert len(trial.curve) == 2
    assert trial.accuracy == trial.curve[-1]
    assert not claimed.folder.exists()
    assert [path.name for path in (tmp_path / "trials").iterdir()] == []


def test_untrainable_settings_are_a_failed_trial_and_an_untrainable_recipe_is_an_error(dataset, tmp_path):
    space = {"initial_scale": Choices(values=(0.5,))}
    study = opened(tmp_path, POOR, space)
    for number in range(2):
        claimed = claimed_of(study)
        with claimed.lock:
            if number == 0:
                conclude(study, claimed, 0.5)
            else:
                assert run_trial(study, claimed, dataset, Progress())
    failed = ended_trials(study)[1]
    assert (failed.state, failed.accuracy) == ("failed", None)
    assert failed.reason == "the network 'folder' can't train on growing images"
    study = opened(tmp_path / "other", POOR.with_settings({"initial_scale": 0.5}), space)
    claimed = claimed_of(study)
    with claimed.lock, pytest.raises(TrainingError, match="growing images"):
        run_trial(study, claimed, dataset, Progress())


class _PressesCtrlC(Progress):
    """Callback that presses Ctrl-C after the first step of the second epoch."""

    def __init__(self):
        self._epoch = 0

    def on_epoch_begin(self, epoch, images, seen):
        self._epoch = epoch

    def on_batch_end(self, images, loss, accuracy):
        if self._epoch == 1:
            os.kill(os.getpid(), signal.SIGINT)
            self._epoch = -1


def test_a_trial_interrupted_by_ctrl_c_resumes_to_the_same_result(dataset, tmp_path):
    recipe = POOR.with_settings({"learning_rate": 0.001})
    space = search_space(recipe, {})
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have had it ignored
    try:
        study = opened(tmp_path / "stopped", recipe, space)
        claimed = claimed_of(study, 1)
        with claimed.lock:
            assert not run_trial(study, claimed, dataset, _PressesCtrlC())
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended_trials(study) == ()
    again = claimed_of(study, 1)
    assert again.number == 0
    assert again.reported == {0}
    with again.lock:
        assert run_trial(study, again, dataset, Progress())
    whole = opened(tmp_path / "whole", recipe, space)
    claimed = claimed_of(whole, 1)
    with claimed.lock:
        assert run_trial(whole, claimed, dataset, Progress())
    (one,), (another,) = ended_trials(study), ended_trials(whole)
    assert len(one.curve) == recipe.epochs
    assert (one.curve, one.accuracy, one.settings) == (another.curve, another.accuracy, another.settings)


def test_a_damaged_study_is_an_error_that_names_the_file(tmp_path):
    (tmp_path / "study.db").write_bytes(b"not a database" * 100)
    with (
        pytest.raises(TuningError, match=r"study\.db' can't be used: file is not a database"),
        optuna_at_work(tmp_path),
    ):
        opened(tmp_path)


def test_a_study_in_a_path_with_special_characters(tmp_path):
    folder = tmp_path / "a b?c#d%e{f}"
    completed(opened(folder), 1)
    assert (folder / "study.db").is_file()


def test_the_log_level_of_optuna_is_restored(tmp_path):
    before = optuna.logging.get_verbosity()
    with optuna_at_work(tmp_path):
        pass
    assert optuna.logging.get_verbosity() == before


def test_a_stored_trial_is_reopened_through_optunas_private_id():
    """Fails where a version of Optuna has another `_trial_id` or another constructor of `Trial`."""
    study = optuna.create_study()
    for rate in (0.1, 0.2):
        study.add_trial(
            optuna.create_trial(
                state=optuna.trial.TrialState.RUNNING,
                params={"rate": rate},
                distributions={"rate": optuna.distributions.FloatDistribution(0, 1)},
            )
        )
    reopened = reopen_trial(study, study.get_trials(deepcopy=True)[1])
    assert (reopened.number, reopened.params) == (1, {"rate": 0.2})
    reopened.report(0.5, 0)
    reopened.set_user_attr("seconds", 3.0)
    stored = study.get_trials()[1]
    assert (stored.intermediate_values, stored.user_attrs) == ({0: 0.5}, {"seconds": 3.0})
