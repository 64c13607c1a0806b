"""label: labels for all images of a heap, with a promise on their error, from a person's answers for some of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from saccade.data.load import Data, load_with_preprocessing
from saccade.errors import DataError
from saccade.labeling.answers import take_answers, write_questions
from saccade.labeling.embedded_data import EmbeddedData, prepare
from saccade.labeling.labels_file import is_result
from saccade.labeling.learning import Question
from saccade.labeling.new_file import new_file
from saccade.labeling.results import ResultFiles
from saccade.labeling.session import Session
from saccade.labeling.state_file import lock_state, require_same_images
from saccade.labeling.steps import Labeling, LabelingSteps
from saccade.runs.run import Run
from saccade.sanitize import counted


@dataclass(frozen=True)
class Goal:
    """What is promised, and the seed of all random choices.

    Attributes:
        max_error: largest fraction of wrong labels of the heap, between 0 and 1.
        confidence: probability with which the promise holds, between 0 and 1.
        seed: seed, 0 or more.
    """

    max_error: float = 0.05
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in (("largest error", self.max_error), ("confidence", self.confidence)):
            if not 0 < value < 1:
                raise DataError(f"the {name} is out of range", expected="more than 0, less than 1", found=f"{value:g}")


def label(  # noqa: PLR0913 - the options of the command line
    data: Data,
    goal: Goal | None = None,
    *,
    out: str | Path,
    folders: str | Path | None = None,
    report: str | Path | None = None,
    state: str | Path | None = None,
    answers: Sequence[str | Path] = (),
    labels: Data | None = None,
    network: Run | str | Path | None = None,
    ask_to: str | Path | None = None,
    progress: bool = False,
) -> Labeling:
    """Go on with a labeling as far as the answers reach, and write the labels when all answers are there.

    Args:
        data: folder or archive of images without labels. Labels of the data are not used.
        goal: what is promised; for a labeling that has begun, None or the same as before. None: the default goal.
        out: label file to write at the end, whose name ends in .csv.
        folders: folder to make at the end, with a folder of links for each class. None: no folders.
        report: Markdown file to write at the end, with method and promise. None: no report.
        state: file that keeps the labeling, which is made where it is missing. None: `out` with the suffix .sqlite.
        answers: files with a person's answers: tables with columns for image and label, where "?" means "not sure",
            and "-" "none of these classes", or JSON exports of Label Studio.
        labels: labeled images, as for `train`; those that are in `data`, by their contents, count as answered.
        network: run or pretrained network that gives the features, as for `embed`. The classes of a run are offered.
        ask_to: CSV file to write, if answers are missing: the images that a person is to answer next.
        progress: whether to show progress on standard error.

    Raises:
        DataError: the data, a file or the goal can't be used, or the images are others than at the beginning.
        RunError, TrainingError: the network can't be used.
    """
    files = ResultFiles.new(out, folders, report)
    list_file = None if ask_to is None else new_file(ask_to, (".csv",), option="--ask-to")
    with _begun(data, goal, files, state, network, progress=progress) as (found, session):
        steps = LabelingSteps(found, session, repeats=False, progress=progress)
        _take_labels(session, found, labels, progress=progress)
        notes = _answer_from_files(steps, session, found, answers)
        labeling = steps.labeling()
        if labeling.questions and list_file is not None:
            write_questions(list_file, labeling.questions)
        if labeling.phase == "done":
            files.write_labels(steps, session, found)
            files.write_others(steps, found)
        return replace(labeling, notes=(*labeling.notes, *notes))


def label_on_page(  # noqa: PLR0913 - the options of the command line
    data: Data,
    goal: Goal | None = None,
    *,
    out: str | Path,
    folders: str | Path | None = None,
    report: str | Path | None = None,
    state: str | Path | None = None,
    answers: Sequence[str | Path] = (),
    labels: Data | None = None,
    network: Run | str | Path | None = None,
    port: int = 0,
    ready: Callable[[str], None] = print,
    written: Callable[[ResultFiles], None] = lambda _: None,
    progress: bool = False,
) -> Labeling:
    """Go on with a labeling on a page in the browser, until the process gets SIGTERM or SIGINT.

    The label file is written as soon as all answers are there, and again when an answer is changed after that; folders
    and report are written at the end.

    Args:
        data: as for `label`.
        goal: as for `label`.
        out: as for `label`.
        folders: as for `label`.
        report: as for `label`.
        state: as for `label`.
        answers: as for `label`.
        labels: as for `label`.
        network: as for `label`.
        port: port to listen at on this machine; 0: any free port.
        ready: function that is called with the address of the page, which contains a token.
        written: function that is called after the label file was written.
        progress: whether to show progress on standard error.

    Raises:
        DataError, RunError, TrainingError: as for `label`.
        SaccadeError: the port can't be used.
    """
    from saccade.labeling.page.serve_page import listen, serve_page

    files = ResultFiles.new(out, folders, report)
    with (
        listen(port) as listening,
        _begun(data, goal, files, state, network, progress=progress) as (found, session),
    ):

        def publish(steps: LabelingSteps, own: Session) -> None:
            files.write_labels(steps, own, found)
            written(files)

        session.keep_setting("result_names", files.names())
        steps = LabelingSteps(found, session, repeats=True, progress=progress)
        _take_labels(session, found, labels, progress=progress)
        notes = _answer_from_files(steps, session, found, answers)
        if session.setting("phase") == "done":
            publish(steps, session)
        serve_page(found, session.path, steps.components(), publish, listening=listening, ready=ready)
        labeling = steps.labeling()
        if labeling.phase == "done":
            files.write_others(steps, found)
        return replace(labeling, notes=(*labeling.notes, *notes))


def _take_labels(session: Session, found: EmbeddedData, labels: Data | None, *, progress: bool) -> None:
    """Take labels that exist as answers, for images with the same contents that were not asked.

    Raises:
        DataError: the labels can't be read, are of other images, or came after the labels were frozen.
    """
    if labels is None:
        return
    if session.setting("phase") != "learn":
        raise DataError("labels can't be added after the labels were frozen", remedy="omit --labels")
    if isinstance(labels, str | Path) and is_result(Path(labels)):
        raise DataError(
            f"some labels in '{labels}' may be by a model",
            expected="labels by a person",
            remedy=f"--answers {labels} takes the answers of the person in it",
        )
    given = load_with_preprocessing(labels, found.dataset.preprocessing, progress=progress)
    by_hash: dict[str, set[str]] = {}
    for split in given.splits.values():
        for content, number in zip(split.hashes, split.labels.tolist(), strict=True):
            by_hash.setdefault(content, set()).add(given.class_names[number])
    asked = session.asked()
    known = {
        place: min(by_hash[content])
        for place, content in enumerate(found.images.hashes)
        if len(by_hash.get(content, ())) == 1  # two labels for the same contents are none
    }
    if not known:
        raise DataError(
            "the labels of --labels are for other images",
            expected="images with the same contents as some of the data",
            found=counted(sum(len(split) for split in given.splits.values()), "other image"),
        )
    new = {place: name for place, name in known.items() if place not in asked}
    with session.transaction():
        session.ask([Question(place, "given") for place in new], attempt=session.setting("attempt"), phase="learn")
        questions = session.open_questions()
        session.answer({number: new[place] for number, place in questions.items() if place in new}, who="given")


def _answer_from_files(
    steps: LabelingSteps, session: Session, found: EmbeddedData, paths: Sequence[str | Path]
) -> tuple[str, ...]:
    """Answer questions from files, and do the steps between them, until an answer is missing; return notes."""
    taken = take_answers(session, paths, found.images.names)
    given = taken.labels
    if session.setting("phase") == "done" and any(session.answers().get(place) != given[place] for place in given):
        session.keep_setting("phase", "threshold")  # the labels are found again
    while True:
        questions = session.open_questions()
        session.answer({number: given[place] for number, place in questions.items() if place in given})
        if session.open_questions() or not steps.go_on():
            break
    unasked = len(given.keys() - session.answers().keys())
    if unasked and session.setting("phase") == "done":
        return (*taken.notes, f"not needed: {counted(unasked, 'answer')} for other images")
    waiting = f"not asked yet: {counted(unasked, 'answer')}; name the files again with the next list"
    return (*taken.notes, waiting) if unasked else taken.notes


@contextmanager
def _begun(
    data: Data,
    goal: Goal | None,
    files: ResultFiles,
    state: str | Path | None,
    network: Run | str | Path | None,
    *,
    progress: bool,
) -> Iterator[tuple[EmbeddedData, Session]]:
    """Yield the images and the state of a labeling, which no other process changes meanwhile."""
    state_file = files.labels.with_suffix(".sqlite") if state is None else Path(state)
    files.require_own(state_file)
    found = prepare(data, network=network, progress=progress)
    with lock_state(state_file), _open(state_file, found, goal) as session:
        if isinstance(network, Run):
            session.add_classes(network.class_names)
        yield found, session


def _open(path: Path, found: EmbeddedData, goal: Goal | None) -> Session:
    """Open the state of a labeling of these images, or create it.

    Raises:
        DataError: the state is of other images or has another goal.
    """
    hashes = list(found.images.hashes)
    if not path.exists():
        chosen = goal or Goal()
        settings: dict[str, Any] = {"max_error": chosen.max_error, "confidence": chosen.confidence, "seed": chosen.seed}
        settings |= {"phase": "learn", "attempt": 1, "network": found.network}
        return Session.create(path, settings, found.images.names, hashes)
    session = Session(path)
    require_same_images(
        session,
        found.images.names,
        hashes,
        remedy=(
            "restore the images, or begin another labeling: --state FILE, with the label file of a finished one as "
            "--answers. The promise of a finished labeling stays true for the images as they were; of those "
            "that are left, as many labels may be wrong as before"
        ),
    )
    if session.setting("network") != found.network:
        before_network = session.setting("network")
        session.close()
        raise DataError(
            f"the labeling in '{path}' began with features of another network",
            expected=before_network,
            found=found.network,
            remedy="name the same --run or --from, or begin another labeling: --state FILE",
        )
    recorded = Goal(*(session.setting(name) for name in ("max_error", "confidence", "seed")))
    if goal not in (None, recorded):
        session.close()
        raise DataError(
            f"the labeling in '{path}' has another goal",
            found=f"max_error={recorded.max_error:g}, confidence={recorded.confidence:g}, seed={recorded.seed}",
            remedy="omit the options, or begin another labeling: --state FILE",
        )
    return session
