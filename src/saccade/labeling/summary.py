"""Summary of a finished labeling in words: method, number of answers, and the promise."""

from __future__ import annotations

from saccade.labeling.promise import Promise
from saccade.labeling.session import NOT_SURE, Session
from saccade.sanitize import counted


def summarize(session: Session, promise: Promise, heap: int) -> str:
    """Return the method and the promise of a finished labeling in words.

    Args:
        session: state of the labeling.
        promise: the promise.
        heap: number of images of the heap.
    """
    answers, kept = session.answers(), session.setting("kept")
    if kept is None:
        return f"A person labeled all {heap:,} images."
    learning, sample = len(session.answers("learn")), len(session.answers("sample"))
    after = len(answers) - learning - sample
    network, seed = session.setting("network"), session.setting("seed")
    allowed = f"{promise.allowed(heap):,} labels ({promise.max_error:.1%} of the images)"
    chosen = f"{learning:,} that were chosen to fit a kernel ridge regression on features of {network}"
    drawn = f"a uniform random sample of {sample:,} of the others"
    bound = f"an exact hypergeometric bound with {kept['allowed']} allowed mistakes before the threshold"
    sentences = [
        f"A person labeled {len(answers):,} of {heap:,} images: {chosen}, {drawn}, and {after:,} uncertain ones.",
        f"The model labeled {heap - len(answers):,} images.",
        f"With a probability of at least {promise.confidence:.1%}, at most {allowed} differ from this person's labels:",
        f"{bound}, attempt {promise.attempt} at a risk of {promise.alpha:.2%}, seed {seed}.",
    ]
    not_sure = sum(answer == NOT_SURE for answer in answers.values())
    if not_sure:
        sentences.append(f"{counted(not_sure, 'image')}, of which the person was not sure, have no label.")
    return " ".join(sentences)
