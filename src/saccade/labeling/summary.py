"""Summary of a finished labeling in words: method, number of answers, and the promise."""

from __future__ import annotations

from saccade.labeling.agreement import Agreement, agreement_of, repeated_images
from saccade.labeling.promise import Promise
from saccade.labeling.session import NO_CLASS, NOT_SURE, Session
from saccade.sanitize import counted, printable


def summarize(session: Session, promise: Promise, heap: int) -> str:
    """Return the method and the promise of a finished labeling in words.

    Args:
        session: state of the labeling.
        promise: the promise, with the number of the last attempt.
        heap: number of images of the heap.
    """
    answers, kept = session.answers(), session.setting("kept")
    persons = sorted({answer.who for answer in session.current()} - {"given"})
    if len(persons) > 1:
        labelers, whose = f"{len(persons)} persons ({', '.join(map(printable, persons))})", "these persons' labels"
    else:
        labelers, whose = "A person", "this person's labels"
    if kept is None or len(answers) == heap:
        return f"{labelers} labeled all {heap:,} images."
    sample = set(session.questions("sample", promise.attempt))
    after = set(session.questions("threshold", promise.attempt)) - sample
    network, seed = session.setting("network"), session.setting("seed")
    allowed = f"{promise.allowed(heap):,} labels ({promise.max_error:.1%} of the images)"
    learning = len(answers) - len(sample) - len(after)
    chosen = f"{learning:,} to which a kernel ridge regression on features of {network} was fitted"
    random = f"a uniform random sample of {len(sample):,} of the others"
    uncertain = f"{len(after):,} uncertain ones"
    bound = f"an exact hypergeometric bound with {kept['allowed']} allowed mistakes before the threshold"
    in_groups = sum(label.who == "group" for label in session.frozen(promise.attempt) if label.position not in answers)
    by_model = heap - len(answers) - in_groups
    sentences = [
        f"{labelers} labeled {len(answers):,} of {heap:,} images: {chosen}, {random}, and {uncertain}.",
        f"The model labeled {by_model:,} images"
        + (f", and {in_groups:,} have the label that the person gave to a group." if in_groups else "."),
        f"With a probability of at least {promise.confidence:.1%}, at most {allowed} differ from {whose}:",
        f"{bound}, attempt {promise.attempt} at a risk of {promise.alpha:.2%}, seed {seed}.",
    ]
    for answer, reason in ((NOT_SURE, "the person was not sure"), (NO_CLASS, "no class fits")):
        count = sum(given == answer for given in answers.values())
        if count:
            sentences.append(f"Without a label, since {reason}: {counted(count, 'image')}.")
    repeated = repeated_images(session)
    sentences += [
        _in_words(agreement_of(repeated, same_person=True), "by the same person"),
        _in_words(agreement_of(repeated, same_person=False), "by another person"),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _in_words(agreement: Agreement | None, whom: str) -> str:
    if agreement is None:
        return ""
    low, high = agreement.interval
    kappa = "" if agreement.kappa is None else f", Cohen's kappa {agreement.kappa:.2f}"
    images = counted(agreement.num_images, "image")
    return (
        f"Of {images} that were labeled a second time {whom}, {agreement.num_equal:,} got the same label "
        f"(95% interval {low:.1%} to {high:.1%}{kappa})."
    )
