"""`saccade label`: broken promises and asked images, where the true labels play the person.

    python benchmarks/labeling.py DATA... [--trajectories 25] [--draws 200] [--max-error 0.05] [--mistakes 0.03]
        [--images 10000]

DATA are folders of class folders; with `--images`, a random part of a larger set, by links. A trajectory is the whole
command `label` in Python with another seed: what it asks, learns and freezes. On each frozen order, the sample of the
promise is drawn many times, and the promise is checked against the answers. With `--mistakes` the person gives a wrong
label to this fraction of the images, always the same one; the promise is about these answers, and the error against the
true labels is reported beside it.

Each draw breaks the promise with a probability of at most (1 - confidence) / 2, the share of the first attempt, so the
number of broken promises is at most binomial. The program fails where their number would have a probability below 1 in
10,000. The features come from the cache after the first trajectory.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from processes import at_least_one, run_program
from results import Result, add_results_option, keep_results
from scipy.stats import binom

from saccade.data.load import load
from saccade.labeling.label import Goal, label
from saccade.labeling.promise import Promise, kept_labels
from saccade.labeling.session import Session


@dataclass(frozen=True)
class Trajectory:
    """A learning phase, and the promises on samples after it.

    Attributes:
        seconds: wall-clock time of the whole labeling, with its first sample.
        learning: fraction of the heap that the learning asked.
        sample: fraction of the heap in the sample.
        asked: fraction of the heap that was asked altogether, of each draw.
        errors: fraction of wrong labels against the answers, of each draw.
        true_errors: fraction of wrong labels against the true labels, of each draw.
        broken: number of broken promises.
    """

    seconds: float
    learning: float
    sample: float
    asked: list[float]
    errors: list[float]
    true_errors: list[float]
    broken: int


@dataclass(frozen=True)
class _Frozen:
    """A frozen order of positions, labels and estimates; the numbers of images num_learning from and of the sample."""

    order: list[tuple[int, str, float]]
    num_learning: int
    sample: int
    seconds: float


def main() -> None:
    """Run the trajectories of each set, print and save the results."""
    parser = argparse.ArgumentParser(description="Broken promises and asked images of saccade label.")
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA", help="folders of class folders")
    parser.add_argument("--trajectories", type=at_least_one, default=25, help="number of seeds")
    parser.add_argument("--draws", type=at_least_one, default=200, help="number of samples for each of them")
    parser.add_argument("--max-error", type=float, default=0.05, help="largest fraction of wrong labels")
    parser.add_argument("--mistakes", type=float, default=0.0, help="fraction of mistakes of the person")
    add_images_option(parser)
    add_results_option(parser)
    options = parser.parse_args()
    failed = []
    for path in options.data:
        found = []
        with part(path, options.images) as heap:
            for seed in range(options.trajectories):
                found.append(trajectory(heap, Goal(options.max_error, seed=seed), options.draws, options.mistakes))
                print(
                    f"{path.name} {seed}: learning {found[-1].learning:.1%}, sample {found[-1].sample:.1%}, asked "
                    f"{np.median(found[-1].asked):.1%}, broken {found[-1].broken}, {found[-1].seconds:.0f} s",
                    flush=True,
                )
        draws = options.trajectories * options.draws
        broken, most = sum(each.broken for each in found), binom.isf(1e-4, draws, Promise().alpha)
        if broken > most:
            failed.append(path.name)
        subject = f"{path.name}, {options.mistakes:.0%} mistakes"
        keep_results("labeling", list(_results(subject, found, broken, draws)), options.results)
    if failed:
        sys.exit(f"error: the promise was broken too often on {', '.join(failed)}")


def add_images_option(parser: argparse.ArgumentParser) -> None:
    """Add the option `--images` to a parser."""
    parser.add_argument("--images", type=at_least_one, help="number of random images of a set; default: all")


@contextmanager
def part(path: Path, count: int | None) -> Iterator[Path]:
    """Give a temporary folder of links to random images, in class folders; the data itself for all images."""
    dataset = load(path)
    images = sorted(
        (name, dataset.class_names[number])
        for split in dataset.splits.values()
        for name, number in zip(split.names, split.labels.tolist(), strict=True)
    )
    if count is None or count >= len(images):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        for place in np.random.default_rng(0).permutation(len(images))[:count].tolist():
            name, class_name = images[place]
            link = Path(folder) / class_name / f"{place:08}{Path(name).suffix}"
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(Path(dataset.root, name).absolute())
        yield Path(folder)


def trajectory(path: Path, goal: Goal, draws: int, mistakes: float) -> Trajectory:
    """Label the data, and draw the sample of the promise again and again."""
    dataset = load(path)
    truth = {
        name: dataset.class_names[number]
        for split in dataset.splits.values()
        for name, number in zip(split.names, split.labels.tolist(), strict=True)
    }
    rng = np.random.default_rng(goal.seed)
    classes = list(dataset.class_names)
    by_person = {
        name: rng.choice([other for other in classes if other != true]) if rng.random() < mistakes else true
        for name, true in sorted(truth.items())
    }
    with tempfile.TemporaryDirectory() as folder:
        answers = Path(folder) / "answers.csv"
        with answers.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([("file_name", "label"), *by_person.items()])
        start = time.perf_counter()
        label(path, goal, out=Path(folder) / "labels.csv", answers=[answers])
        seconds = time.perf_counter() - start
        with Session(Path(folder) / "labels.sqlite") as session:
            frozen, sample = session.frozen(1), len(session.questions("sample", 1))
            order = [(label.position, label.label, label.probability_wrong) for label in frozen]
            found = _Frozen(order, len(truth) - len(order) if order else len(truth), sample, seconds)
    return _draw(found, by_person, truth, goal, draws)


def _draw(found: _Frozen, by_person: dict[str, str], truth: dict[str, str], goal: Goal, draws: int) -> Trajectory:
    """Draw the samples of a frozen order."""
    frozen, num_learning, sample, names = found.order, found.num_learning, found.sample, sorted(truth)
    heap, left = len(names), len(frozen)
    promise = Promise(goal.max_error, goal.confidence)
    in_order = [names[position] for position, *_ in frozen]
    wrong = np.array([name != by_person[path] for path, (_, name, _) in zip(in_order, frozen, strict=True)], bool)
    untrue = np.array([name != truth[path] for path, (_, name, _) in zip(in_order, frozen, strict=True)], bool)
    person_untrue = np.array([by_person[path] != truth[path] for path in in_order], bool)
    before = sum(by_person[path] != truth[path] for path in set(names) - set(in_order))
    asked, errors, true_errors = [], [], []
    rng = np.random.default_rng(goal.seed)
    for _ in range(draws):
        positions = rng.permutation(left)[:sample]
        kept = kept_labels(promise, heap=heap, left=left, positions=positions, wrong=wrong[positions])
        by_model = np.arange(left) < kept.first
        by_model[positions] = False
        asked.append((num_learning + left - int(by_model.sum())) / heap)
        errors.append(float(wrong[by_model].sum()) / heap)
        true_errors.append((before + float(untrue[by_model].sum()) + float(person_untrue[~by_model].sum())) / heap)
    broken = sum(error * heap > promise.allowed(heap) + 0.5 for error in errors)
    return Trajectory(found.seconds, num_learning / heap, sample / heap, asked, errors, true_errors, broken)


def _results(subject: str, found: list[Trajectory], broken: int, draws: int) -> Iterator[Result]:
    asked = np.concatenate([each.asked for each in found])
    note = f"90th percentile of {draws:,} draws {np.quantile(asked, 0.9):.3f}"
    yield Result(subject, "asked", "fraction", [float(np.median(each.asked)) for each in found], note)
    yield Result(subject, "asked by the learning", "fraction", [each.learning for each in found])
    for name, values in (
        ("error", [float(np.median(each.errors)) for each in found]),
        ("error against the true labels", [float(np.median(each.true_errors)) for each in found]),
    ):
        yield Result(subject, name, "fraction", values)
    allowed = f"{broken} of {draws:,}, of which at most {Promise().alpha:.1%} are expected"
    yield Result(subject, "broken promises", "fraction", [broken / draws], allowed)
    yield Result(subject, "labeling", "s", [each.seconds for each in found])


if __name__ == "__main__":
    run_program(main)
