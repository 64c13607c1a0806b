"""Agreement of answers: images that are asked a second time, of the same person or of another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from saccade.evaluation.wilson_interval import wilson_interval
from saccade.labeling.session import Answer, Session


@dataclass(frozen=True)
class Repeated:
    """An image that was asked twice.

    Attributes:
        first: first answer.
        second: answer to the question that was asked later.
    """

    first: Answer
    second: Answer

    @property
    def is_equal(self) -> bool:
        """Whether both answers are the same."""
        return self.first.label == self.second.label


@dataclass(frozen=True)
class Agreement:
    """Agreement of pairs of answers.

    Attributes:
        num_images: number of images that were asked twice.
        num_equal: number of them with equal answers.
        interval: 95% Wilson interval of the fraction of equal answers.
        kappa: Cohen's kappa; None for answers of one person, or where all answers are of one class.
    """

    num_images: int
    num_equal: int
    interval: tuple[float, float]
    kappa: float | None


def repeated_images(session: Session) -> list[Repeated]:
    """Return the images of the sample that were asked twice, with the first answer and that to the later question."""
    answers = session.current()
    first = {answer.position: answer for answer in answers if answer.phase == "sample"}
    return [
        Repeated(first[answer.position], answer)
        for answer in answers
        if answer.phase == "repeat" and answer.position in first
    ]


def agreement_of(images: Sequence[Repeated], *, same_person: bool) -> Agreement | None:
    """Return the agreement of a person with himself or herself, or of two persons; None where nothing was asked twice.

    Source of kappa: J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological
    Measurement 20 (1960), as implemented by scikit-learn.

    Args:
        images: images that were asked twice.
        same_person: whether pairs of answers of one person are compared, rather than those of two persons.
    """
    pairs = [image for image in images if (image.first.who == image.second.who) == same_person]
    if not pairs:
        return None
    equal = sum(pair.is_equal for pair in pairs)
    several = len({answer.label for pair in pairs for answer in (pair.first, pair.second)}) > 1
    kappa = None
    if several and not same_person:
        from sklearn.metrics import cohen_kappa_score

        kappa = float(cohen_kappa_score([pair.first.label for pair in pairs], [pair.second.label for pair in pairs]))
    return Agreement(len(pairs), equal, wilson_interval(equal, len(pairs)), kappa)
