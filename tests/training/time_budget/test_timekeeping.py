"""Trainings within a time budget, with simulated durations of the steps."""

import json

import pytest

import saccade
from saccade.data.load import load
from saccade.recipes import get_recipe
from saccade.runs.create import create_run
from saccade.runs.time_budget_state import Costs, Pace, Plan
from saccade.training.progress import Progress
from saccade.training.step import TrainingStep
from saccade.training.time_budget.budget import Work, reserve
from saccade.training.time_budget.timekeeping import Timekeeping
from saccade.training.train import build_networks, make_splits, run_training

SETTINGS = {"batch_size": 27, "plain_epochs": 6, "schedule": "linear", "checkpoint_seconds": 0, "compute": "float32"}
RECIPE = get_recipe("folder").with_settings(SETTINGS)
# An image takes 100 s, and there is time for two passes over the 108 training images in four steps each.
COSTS = Costs(image=100, pixel=0, graph=0, validated=0, closing=0, saving=1000)
IMAGES, STEP = 216, 2700.0


class CrashError(Exception):
    pass


def minutes_for(seconds):
    """Return the budget that has a number of seconds without the reserve."""
    return (seconds + reserve(0)) / (60 - (reserve(1) - reserve(0)))


class Clock:
    """Simulated clock: each step advances it as the step begins, and nothing else does."""

    def __init__(self, patch, seconds, fails_at=None):
        self.now = 0.0
        self.rates: list[float] = []
        real = TrainingStep.__call__

        def call(step, batch, rate):
            if len(self.rates) + 1 == fails_at:
                raise CrashError
            self.rates.append(rate)
            self.now += seconds(len(self.rates))
            return real(step, batch, rate)

        patch.setattr(TrainingStep, "__call__", call)

    def __call__(self):
        return self.now


def trained(data, out, monkeypatch, seconds, fails_at=None, images=IMAGES):
    """Train by a plan for `images`; step n, counted from 1, takes `seconds(n)`. Return the run and its clock."""
    dataset = load(data)
    splits = make_splits(dataset, RECIPE, None)
    work = Work(RECIPE, 32, 32, len(splits["train"]), len(splits["validation"]))
    plan = Plan(
        minutes=minutes_for(images * 100 + COSTS.saving), reasons=("a test",), costs=COSTS, first=Pace(end=images)
    )
    run = create_run(out, dataset, RECIPE, splits, "float32", plan=plan)
    with monkeypatch.context() as patch:
        clock = Clock(patch, seconds, fails_at)
        keeping = Timekeeping(work, plan, clock, Progress())
        networks = build_networks(RECIPE, dataset, splits["train"], "float32")
        if fails_at is None:
            run_training(run, networks, splits, progress=Progress(), timekeeping=keeping)
        else:
            with pytest.raises(CrashError):
                run_training(run, networks, splits, progress=Progress(), timekeeping=keeping)
    return run, clock


def plan_of(run):
    plan = run.plan()
    assert plan is not None
    return plan


def result_of(run):
    return [(run.path / name).read_bytes() for name in ("weights.safetensors", "history.csv")]


@pytest.fixture(scope="module")
def punctual(tiny_folder, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        return trained(tiny_folder, tmp_path_factory.mktemp("punctual") / "run", patch, lambda _: STEP)


def test_a_training_on_schedule_completes_the_recipe_in_the_planned_images(punctual):
    run, clock = punctual
    assert plan_of(run).replans == ()
    assert run.status().state == "finished"
    assert [record.steps for record in run.history()] == [4, 4]
    # Six epochs of the recipe in two passes: the rate falls linearly over the eight steps.
    assert clock.rates == pytest.approx([0.001 * (1 - step / 8) for step in range(8)])
    assert [record.learning_rate for record in run.history()] == pytest.approx([0.001, 0.0005])


def test_a_slower_machine_trains_on_fewer_images_in_the_same_time(tiny_folder, tmp_path, monkeypatch):
    run, clock = trained(tiny_folder, tmp_path / "run", monkeypatch, lambda step: STEP * (1.5 if step > 2 else 1))
    plan = plan_of(run)
    assert plan.replans
    assert run.status().state == "finished"
    seen = sum(27 for _ in clock.rates)
    assert seen < IMAGES
    assert plan.pace.end <= seen < plan.pace.end + 27
    # The last step ends within one step of the planned end.
    assert abs(IMAGES * 100 - clock.now) <= 1.5 * STEP
    # The learning rate falls without a jump: no step lowers it by more than the steepest slope.
    falls = [before - after for before, after in zip(clock.rates, clock.rates[1:], strict=False)]
    assert all(0 < fall <= 0.001 / len(clock.rates) * 2 for fall in falls)
    assert json.loads((run.path / "plan.json").read_text())["replans"][0]["slowness"] > 1


@pytest.mark.long
def test_a_faster_machine_trains_on_more_images(tiny_folder, tmp_path, monkeypatch):
    run, clock = trained(tiny_folder, tmp_path / "run", monkeypatch, lambda _: STEP / 2)
    assert len(clock.rates) > 12
    assert abs(IMAGES * 100 - clock.now) <= STEP
    assert len(run.history()) == -(-len(clock.rates) // 4)


@pytest.mark.long
def test_a_training_whose_time_is_used_up_by_one_step_ends_and_is_saved(tiny_folder, tmp_path, monkeypatch):
    run, clock = trained(tiny_folder, tmp_path / "run", monkeypatch, lambda step: 1e6 if step == 6 else STEP)
    assert len(clock.rates) == 6
    assert run.status().state == "finished"
    assert [record.steps for record in run.history()] == [4, 2]
    assert run.weights()


def test_a_resumed_training_with_an_unchanged_plan_gives_the_same_bytes(
    tiny_folder, tmp_path, monkeypatch, punctual
):  # fmt: skip
    run, _ = trained(tiny_folder, tmp_path / "run", monkeypatch, lambda _: STEP, fails_at=7)
    assert run.status().state == "running"
    resumed = saccade.resume(run, progress=False)
    assert plan_of(resumed).replans == ()
    assert result_of(resumed) == result_of(punctual[0])


@pytest.mark.long
def test_a_changed_plan_survives_a_kill(tiny_folder, tmp_path, monkeypatch):
    def seconds(step):
        return STEP * (1.3 if step > 2 else 1)

    whole, _ = trained(tiny_folder, tmp_path / "whole", monkeypatch, seconds)
    run, _ = trained(tiny_folder, tmp_path / "run", monkeypatch, seconds, fails_at=6)
    latest = run.checkpoints.latest().checkpoint
    assert latest is not None
    assert latest.state.plan is not None
    assert latest.state.plan.replans
    end = latest.state.plan.pace.end
    assert 5 * 27 < end < IMAGES
    resumed = saccade.resume(run, progress=False)
    assert plan_of(resumed) == latest.state.plan
    steps = sum(record.steps for record in resumed.history())
    assert steps == -(-end // 27)
    assert steps <= sum(record.steps for record in whole.history())


@pytest.mark.long
def test_a_training_killed_before_its_first_checkpoint_keeps_its_first_plan(tiny_folder, tmp_path, monkeypatch):
    run, _ = trained(tiny_folder, tmp_path / "run", monkeypatch, lambda _: STEP, fails_at=1, images=54)
    assert run.checkpoints.latest().checkpoint is None
    resumed = saccade.resume(run, progress=False)
    assert [record.steps for record in resumed.history()] == [2]
    assert plan_of(resumed) == plan_of(run)


def test_a_run_within_a_budget_is_extended_from_its_number_of_epochs(tiny_folder, tmp_path, punctual):
    longer = saccade.extend(punctual[0], 1, schedule="hold", out=tmp_path / "more", progress=False)
    assert longer.plan() is None
    assert [record.epoch for record in longer.history()] == [1, 2, 3]
    assert longer.history()[-1].learning_rate == pytest.approx(0.0005)


class Plans(Progress):
    """Progress that keeps the messages about plans."""

    def __init__(self):
        self.lines: list[str] = []

    def on_plan(self, text):
        self.lines.append(text)


def notes_of_plans(seconds, recipe=RECIPE):
    """Return the messages of a training that is planned for 38 passes over 108 images, in steps of `seconds`."""
    work = Work(recipe, 32, 32, 108, 20)
    images = 38 * 108
    plan = Plan(
        minutes=minutes_for(images * 100 + COSTS.saving), reasons=("a test",), costs=COSTS, first=Pace(end=images)
    )
    now, plans = [0.0], Plans()
    keeping = Timekeeping(work, plan, lambda: now[0], plans)
    state = keeping.initial_state()
    while state.plan is not None and state.seen_in_all < state.plan.pace.end:
        now[0] += seconds
        state.seen += 27
        keeping.on_batch_end(state, 27)
    return plans.lines


def test_a_new_plan_with_all_useful_passes_notes_that_the_training_ends_early():
    photo = get_recipe("photo").with_settings({"batch_size": 27})
    note = "more than 40 passes of fine-tuning are useless: the training ends early"
    assert notes_of_plans(STEP / 1.5, photo).count(note) == 1
    assert note not in notes_of_plans(STEP, photo)
    # Other recipes have up to 100 passes.
    assert not [line for line in notes_of_plans(STEP / 1.5) if "useless" in line]
