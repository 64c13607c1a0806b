"""Linear probe: a linear head on the cached features of a frozen network.

The first epoch of transfer learning fits the head of the network in this way. In the recipe `photo`, it is the whole
training; then the features also give the probabilities of the validation images, without another pass of the network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saccade.data.dataset import Preprocessing, Split, SplitName
from saccade.models.head import body_weights, head_of, set_head, without_head
from saccade.models.weights import named_weights
from saccade.onnx_session import runtime_version
from saccade.recipes import Recipe
from saccade.runs.records import FeaturesRecord
from saccade.runs.run import Run
from saccade.runs.training_state import TrainingState
from saccade.sanitize import counted
from saccade.training.class_weights import balanced_class_weights
from saccade.training.interrupt import StopRequest
from saccade.training.progress import Progress
from saccade.training.transfer_learning.features import FeatureExtractor, Features
from saccade.training.transfer_learning.image_features import TrainingFeatures
from saccade.training.transfer_learning.linear_head import (
    PENALTIES,
    Examples,
    LinearHead,
    choose_penalty,
    fit_linear_head,
)
from saccade.training.transfer_learning.pretrained import Weights, weights_fingerprint

if TYPE_CHECKING:
    import keras

_STOPPING = "stopping; the features that are computed so far are kept in the cache"


def feature_extractor(
    network: keras.Model, recipe: Recipe, preprocessing: Preprocessing, name: str
) -> FeatureExtractor:
    """Return the feature extractor of a network by a recipe.

    Args:
        network: stock network in float32, with its weights; they are copied.
        recipe: recipe with the name of the network.
        preprocessing: preprocessing of the images.
        name: name of the data.
    """
    fingerprint = weights_fingerprint(recipe.network, body_weights(network, named_weights(network)))
    return FeatureExtractor(without_head(network), fingerprint, preprocessing, name)


class LinearProbe:
    """Linear probe of a training.

    Args:
        trained: training model, whose head is set.
        source: features of the images, by the same weights.
        run: run with the recipe.
        progress: callbacks.
        stop: stop request, which is checked after each batch of features.
    """

    def __init__(
        self, trained: keras.Model, source: TrainingFeatures, run: Run, progress: Progress, stop: StopRequest
    ) -> None:
        self._network = trained
        self._run = run
        self._progress = progress
        self._stop = stop
        self._source = source

    def fit(self, splits: Mapping[SplitName, Split], state: TrainingState) -> Iterator[int]:
        """Run the head phase: fit the head, set it in the network, update the state, and yield the image count.

        The head is fitted to all versions of each training image.

        Args:
            splits: splits "train" and "validation"; the validation images choose the penalty. If there are none, a
                cross-validation inside the training split chooses the penalty.
            state: state of the training, which is updated.

        Raises:
            KeyboardInterrupt: a stop was requested during the extraction of features.
            RunError: the features differ from those of the interrupted training that is resumed.
        """
        training, validation = splits["train"], splits["validation"]
        n, versions = len(training), self._source.num_versions
        features = np.empty((versions * n, self._source.width), np.float32)
        total = len(features) + len(validation)
        with (
            self._stop.with_message(_STOPPING),
            self._progress.on_stage("features", total=total, unit="images") as bar,
        ):
            advance = self._stop.after(bar.update)
            for version in range(versions):
                self._source.of_training(version, advance, features[version * n : (version + 1) * n])
            held_out = self._source.of(validation, advance)
        if self._source.num_unkept:
            self._progress.on_warning(
                f"the cache has no room for the features of {counted(self._source.num_unkept, 'image')} "
                "(SACCADE_CACHE_LIMIT): another training computes them again"
            )
        self._run.check_features(_record(features))
        with self._progress.on_stage("head", total=len(PENALTIES), unit="penalties") as bar:
            head = self._fit_head(features, training, held_out, validation, bar.update)
        set_head(self._network, head.kernel, head.bias)
        probabilities = head.probabilities(self._source.of(training, lambda _: None))
        true_class = probabilities[np.arange(n), training.labels].astype(np.float64)
        state.seen = n
        state.loss_sum = float(-np.log(np.maximum(true_class, 1e-7)).sum())
        state.correct = int((probabilities.argmax(axis=1) == training.labels).sum())
        yield n

    def features(self, weights: Weights, images: Split) -> Features:  # noqa: ARG002 - the features are frozen
        """Return the features of images, float32 [n, d], which are the same by all weights of a training."""
        return self._source.of(images, lambda _: None)

    def probabilities(self, weights: Weights, images: Split) -> NDArray[np.float32]:
        """Return class probabilities, float32 [n, classes], by the head in named weights of the network."""
        head = head_of(self._network).name
        kernel = weights[f"{head}/kernel"]
        bias = weights.get(f"{head}/bias", np.zeros(kernel.shape[1], np.float32))
        return LinearHead(kernel, bias, 0.0).probabilities(self.features(weights, images))

    def _fit_head(
        self,
        features: Features,
        training: Split,
        held_out: Features,
        validation: Split,
        advance: Callable[[int], object],
    ) -> LinearHead:
        """Choose the penalty by the images themselves, and fit the head to all versions, whose features are changed."""
        n, classes = len(training), len(self._run.class_names)
        biased = bool(head_of(self._network).use_bias)
        penalty = choose_penalty(
            self._examples(features[:n], training),
            self._examples(held_out, validation, training),
            classes=classes,
            biased=biased,
            seed=self._run.recipe.seed,
            advance=advance,
        )
        return fit_linear_head(self._examples(features, training), penalty, classes=classes, biased=biased)

    def _examples(self, features: Features, images: Split, training: Split | None = None) -> Examples:
        """Return examples with the class weights of the training images; the versions follow one another."""
        repeats = len(features) // max(1, len(images))
        recipe, classes = self._run.recipe, len(self._run.class_names)
        # To draw rare classes more often in the steps means the same, in expectation, as to weight their images.
        if recipe.class_weights or recipe.sampling == "balanced":
            class_weights = balanced_class_weights(training or images, classes)
        else:
            class_weights = np.ones(classes, np.float32)
        labels = np.tile(images.labels, repeats)
        return Examples(features, labels, class_weights[labels], np.tile(images.duplicate_groups, repeats))


def _record(features: Features) -> FeaturesRecord:
    return FeaturesRecord(
        runtime=f"onnxruntime {runtime_version()}",
        fingerprint=hashlib.sha256(np.ascontiguousarray(features).data).hexdigest(),
    )
