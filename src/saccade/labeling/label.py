"""label: labels for all images of a heap, with a promise on their error, from a person's answers for some of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saccade.data.load import Data
from saccade.errors import DataError
from saccade.file_lock import try_lock
from saccade.labeling.answers import read_answers, write_questions
from saccade.labeling.embedded_data import EmbeddedData, prepare
from saccade.labeling.labels_file import write_label_file
from saccade.labeling.new_file import new_file
from saccade.labeling.session import Session
from saccade.labeling.steps import Labeling, LabelingSteps
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


def label(
    data: Data,
    goal: Goal | None = None,
    *,
    out: str | Path,
    state: str | Path | None = None,
    answers: Sequence[str | Path] = (),
    ask_to: str | Path | None = None,
    progress: bool = False,
) -> Labeling:
    """Go on with a labeling as far as the answers reach, and write the labels when all answers are there.

    Args:
        data: folder or archive of images without labels. Labels of the data are not used.
        goal: what is promised; for a labeling that has begun, None or the same as before. None: the default goal.
        out: label file to write at the end, whose name ends in .csv.
        state: file that keeps the labeling, which is made where it is missing. None: `out` with the suffix .sqlite.
        answers: files with a person's answers: tables with columns for image and label, where "?" means "not sure",
            or JSON exports of Label Studio.
        ask_to: CSV file to write, if answers are missing: the images that a person is to answer next.
        progress: whether to show progress on standard error.

    Raises:
        DataError: the data, a file or the goal can't be used, or the images are others than at the beginning.
    """
    labels_file = new_file(out, (".csv",))
    list_file = None if ask_to is None else new_file(ask_to, (".csv",), option="--ask-to")
    state_file = labels_file.with_suffix(".sqlite") if state is None else Path(state)
    found = prepare(data, progress=progress)
    with lock_state(state_file), _open(state_file, found, goal) as session:
        given: dict[int, str] = {}
        for path in answers:
            given.update(read_answers(Path(path), found.images.names))
        steps = LabelingSteps(found, session, repeats=False, progress=progress)
        while True:
            questions = session.open_questions()
            session.answer({number: given[place] for number, place in questions.items() if place in given})
            if session.open_questions() or not steps.go_on():
                break
        labeling = steps.labeling()
        if labeling.questions and list_file is not None:
            write_questions(list_file, labeling.questions)
        if labeling.phase == "done":
            write_label_file(steps.labels(), labels_file, found.dataset.root)
        return labeling


def lock_state(path: Path) -> ExitStack:
    """Return the held lock of the state of a labeling, so that two processes never answer at once.

    Raises:
        DataError: another process holds the lock, or the folder is missing or may not be written.
    """
    if not path.parent.is_dir():
        raise DataError(f"there is no folder '{path.parent}'", remedy="make it, or name another file with --state")
    try:
        held = try_lock(path.with_name(f"{path.name}.lock"))
    except OSError as error:
        raise DataError(f"the state of the labeling can't be written to '{path}'", found=error.strerror) from None
    if held is None:
        raise DataError(f"another process goes on with the labeling in '{path}'", remedy="wait until it has ended")
    return held


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
    require_same_images(session, hashes)
    recorded = Goal(*(session.setting(name) for name in ("max_error", "confidence", "seed")))
    if goal not in (None, recorded):
        session.close()
        raise DataError(
            f"the labeling in '{path}' has another goal",
            found=f"max_error={recorded.max_error:g}, confidence={recorded.confidence:g}, seed={recorded.seed}",
            remedy="omit the options, or begin another labeling: --state FILE",
        )
    return session


def require_same_images(session: Session, hashes: Sequence[str]) -> None:
    """Require that the images of a labeling are these; close the session if not.

    Args:
        session: state of the labeling.
        hashes: content hash of each image, by position.

    Raises:
        DataError: the images are others.
    """
    before = session.hashes()
    if before == list(hashes):
        return
    new, gone = len(set(hashes) - set(before)), len(set(before) - set(hashes))
    session.close()
    raise DataError(
        "the images are not those with which the labeling began",
        expected=counted(len(before), "image"),
        found=f"{counted(new, 'new image')}, {counted(gone, 'image')} gone" if new or gone else "other names",
        remedy="restore the images, or begin another labeling: --state FILE",
    )
