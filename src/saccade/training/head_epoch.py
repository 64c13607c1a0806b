"""The first epoch of a transfer: a linear head is fitted to what the network, standing still, gives of each picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Split, SplitName
from saccade.models.head import head_of, of_the_body, set_head, without_head
from saccade.models.weights import assign, named_weights
from saccade.runs.run import Run
from saccade.runs.training_state import TrainingState
from saccade.training.class_weights import class_weights_of
from saccade.training.features import FeatureExtractor
from saccade.training.linear_head import PENALTIES, Examples, LinearHead, fit_linear_head
from saccade.training.progress import Progress
from saccade.training.source import weights_fingerprint

if TYPE_CHECKING:
    import keras


def head_epoch(
    trained: keras.Model,
    validated: keras.Model,
    parts: Mapping[SplitName, Split],
    run: Run,
    state: TrainingState,
    progress: Progress,
) -> Iterator[int]:
    """Fits the head, sets that of the trained network to it, and moves the state on; yields the number of pictures.

    The head learns from each training picture and from its mirror image, if the recipe mirrors at all.

    Args:
        trained: the twin; its head is set.
        validated: the stock network, which gives the features, in float32.
        parts: "train" and "validation", of the latter those that choose the penalty.
        run: its recipe is followed.
        state: of the training.
        progress: is told of the features and of the fit.
    """
    assign(validated, named_weights(trained))
    extract = FeatureExtractor(
        without_head(validated),
        weights_fingerprint(run.recipe.network, of_the_body(validated, named_weights(validated))),
        run.rule,
        run.data_name,
    )
    training, validation = parts["train"], parts["validation"]
    views = (False, True) if run.recipe.flip else (False,)
    with progress.extracting_features(len(views) * len(training) + len(validation)) as bar:
        features = [extract(training, mirrored, bar.update) for mirrored in views]
        held_out = extract(validation, False, bar.update)
    biased = bool(head_of(trained).use_bias)
    with progress.fitting_head(len(PENALTIES)) as bar:
        head = _fitted(features, held_out, parts, run, biased=biased, advance=bar.update)
    set_head(trained, head.kernel, head.bias)
    probabilities = head.probabilities(features[0])
    of_truth = probabilities[np.arange(len(training)), training.labels]
    state.seen = len(training)
    state.loss_sum = float(-np.log(np.maximum(of_truth, 1e-7)).sum())
    state.correct = int((probabilities.argmax(axis=1) == training.labels).sum())
    yield len(training)


def _fitted(
    features: list[NDArray[np.float32]],
    held_out: NDArray[np.float32],
    parts: Mapping[SplitName, Split],
    run: Run,
    *,
    biased: bool,
    advance: Callable[[int], object],
) -> LinearHead:
    classes = len(run.class_names)
    class_weights = class_weights_of(parts["train"], run)
    if class_weights is None:
        class_weights = np.ones(classes, np.float32)
    labels = np.tile(parts["train"].labels, len(features))
    validated = parts["validation"].labels
    return fit_linear_head(
        Examples(np.concatenate(features), labels, class_weights[labels]),
        Examples(held_out, validated, class_weights[validated]),
        classes=classes,
        biased=biased,
        seed=run.recipe.seed,
        advance=advance,
    )
