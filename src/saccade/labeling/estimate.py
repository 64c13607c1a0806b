"""estimate: the accuracy of a run on exactly these unlabeled images, from a person's answers for some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from saccade.data.dataset import Dataset, Split
from saccade.data.load import Data, load_with_or_without_labels
from saccade.data.sources.unlabeled_images import UNLABELED
from saccade.data.splits import TEST_NOTE
from saccade.errors import DataError, is_whole_number, number_in_words
from saccade.labeling.accuracy_estimate import AccuracyEstimate, estimate_of
from saccade.labeling.answers import take_answers, write_questions
from saccade.labeling.embedded_data import all_images
from saccade.labeling.labels_file import LabeledImage, write_label_file
from saccade.labeling.learning import Question
from saccade.labeling.new_file import new_file
from saccade.labeling.predicted_data import predict_data
from saccade.labeling.session import WITHOUT_LABEL, FrozenLabel, Session
from saccade.labeling.state_file import lock_state, require_same_images
from saccade.labeling.stratified_sample import choose_strata
from saccade.runs.run import Run
from saccade.runs.run_split import note_on_interruption
from saccade.sanitize import counted

_KIND = "estimate"
_PHASE = "sample"


@dataclass(frozen=True)
class Sample:
    """Images that are asked for an estimate, and the confidence of its interval.

    Attributes:
        ask: number of images to ask; all images if there are fewer.
        confidence: confidence of the intervals, between 0 and 1.
        seed: seed of the random sample, 0 or more.
    """

    ask: int = 200
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if not is_whole_number(self.ask) or self.ask < 1:
            raise DataError(
                "the number of images to ask is out of range",
                expected="a whole number of at least 1",
                found=number_in_words(self.ask),
            )
        if not 0 < self.confidence < 1:
            raise DataError(
                "the confidence is out of range", expected="more than 0, less than 1", found=f"{self.confidence:g}"
            )


def estimate(  # noqa: PLR0913 - the options of the command line
    run: Run | str | Path,
    data: Data,
    sample: Sample | None = None,
    *,
    out: str | Path | None = None,
    state: str | Path | None = None,
    answers: Sequence[str | Path] = (),
    ask_to: str | Path | None = None,
    progress: bool = False,
) -> AccuracyEstimate:
    """Estimate the accuracy of a run on unlabeled images, from answers for a random sample of them.

    The first call predicts all images, draws the sample and keeps both; a later call with the answers computes the
    estimate.

    Args:
        run: a run or its directory.
        data: folder or archive of images without labels. Labels of the data are not used.
        sample: number of images to ask, confidence and seed; for an estimate that has begun, None or the same as
            before. None: the default sample.
        out: label file to write with the answers when all are there, whose name ends in .csv; None writes no file.
        state: file that keeps the estimate, which is made where it is missing. None: `estimate-RUN-DATA.sqlite` in the
            current folder, with the names of run and data.
        answers: files with a person's answers: tables with columns for image and label, where "?" means "not sure" and
            "-" "none of the classes", or JSON exports of Label Studio.
        ask_to: CSV file to write, if answers are missing: the images that a person is to answer.
        progress: whether to show progress on standard error.

    Raises:
        RunError: the run can't be used.
        DataError: the data or a file can't be used, or the images, the run or the sample are others than at the
            beginning.
    """
    opened = Run.open(run)
    labels_file = None if out is None else new_file(out, (".csv",))
    list_file = None if ask_to is None else new_file(ask_to, (".csv",), option="--ask-to")
    dataset = load_with_or_without_labels(data, opened.preprocessing, progress=progress)
    images, _ = all_images(dataset)
    if not len(images):
        raise DataError(f"'{dataset.name}' has no image that can be read")
    state_file = Path(f"estimate-{opened.name}-{dataset.name}.sqlite") if state is None else Path(state)
    with lock_state(state_file), _open(state_file, opened, images, sample, progress=progress) as session:
        given = take_answers(session, answers, images.names)
        questions = session.open_questions()
        session.answer({number: given.labels[place] for number, place in questions.items() if place in given.labels})
        found = estimate_of(session, opened, images.names, (*_notes(opened, dataset, images), *given.notes))
        if found.questions and list_file is not None:
            write_questions(list_file, found.questions)
        if not found.questions and labels_file is not None:
            write_label_file(_labels(session, images), labels_file, dataset.root)
        return found


def _open(path: Path, run: Run, images: Split, sample: Sample | None, *, progress: bool) -> Session:
    """Open the state of an estimate for these images, or predict the images, draw the sample and create the state.

    Raises:
        DataError: the state is of other images, another run or another sample, or is that of a labeling.
    """
    if not path.exists():
        return _begin(path, run, images, sample or Sample(), progress=progress)
    session = Session(path)
    if session.setting("kind") != _KIND:
        session.close()
        raise DataError(f"'{path}' is the state of a labeling", remedy="name another file: --state FILE")
    remedy = "restore the images, or begin another estimate: --state FILE"
    require_same_images(session, images.names, images.hashes, remedy=remedy)
    recorded = Sample(**session.setting("sample"))
    if sample not in (None, recorded):
        session.close()
        raise DataError(
            f"the estimate in '{path}' has another sample",
            found=f"ask={recorded.ask}, confidence={recorded.confidence:g}, seed={recorded.seed}",
            remedy="omit the options, or begin another estimate: --state FILE",
        )
    if session.setting("weights") != run.weights_fingerprint():
        session.close()
        raise DataError(
            f"the estimate in '{path}' is of other weights than those of '{run.path}'",
            remedy="name the run with which it began, or begin another estimate: --state FILE",
        )
    return session


def _begin(path: Path, run: Run, images: Split, sample: Sample, *, progress: bool) -> Session:
    predicted = predict_data(run, images, progress=progress)
    strata = choose_strata(predicted.probability_wrong, min(sample.ask, len(images)))
    settings: dict[str, Any] = {
        "kind": _KIND,
        "sample": asdict(sample),
        "weights": run.weights_fingerprint(),
        "strata": strata.stratum.tolist(),
        "ood": None if predicted.ood is None else asdict(predicted.ood),
        "notes": predicted.notes,
    }
    drawn = strata.draw(np.random.default_rng(sample.seed))
    questions = [Question(int(place), _PHASE, float(strata.probabilities[place])) for place in drawn]
    frozen = [
        FrozenLabel(place, run.class_names[number], wrong, "model")
        for place, (number, wrong) in enumerate(
            zip(predicted.classes.tolist(), predicted.probability_wrong.tolist(), strict=True)
        )
    ]
    temporary = path.with_name(f".new-{path.name}")
    temporary.unlink(missing_ok=True)
    with Session.create(temporary, settings, images.names, images.hashes) as session, session.transaction():
        session.add_classes(run.class_names)
        session.freeze(1, frozen)
        session.ask(questions, attempt=1, phase=_PHASE)
    temporary.replace(path)  # a command that was stopped before leaves no state without questions
    return Session(path)


def _labels(session: Session, images: Split) -> list[LabeledImage]:
    """Return the labels by the person, in the order of the images; images that have none are left out."""
    asked = session.asked()
    return [
        LabeledImage(images.names[place], answer, "person", None, round(asked[place][2], 6), images.hashes[place])
        for place, answer in sorted(session.answers().items())
        if answer not in WITHOUT_LABEL
    ]


def _notes(run: Run, dataset: Dataset, images: Split) -> tuple[str, ...]:
    """Return messages on how the data was read, and on images that the run knows."""
    notes = [note for note in dataset.notes if note != TEST_NOTE]
    if dataset.class_names != UNLABELED.names:
        notes.append("the labels of the data are not used")
    if dataset.unreadable:
        notes.append(f"{counted(len(dataset.unreadable), 'image')} can't be read, and the estimate is without them")
    splits = run.split_of()
    trained_on = sum(splits.get(content) in ("train", "validation") for content in images.hashes)
    if trained_on:
        notes.append(
            f"{counted(trained_on, 'image')} of these were used in the training, where a run is more accurate than on "
            "new images"
        )
    return (*notes, *note_on_interruption(run))
