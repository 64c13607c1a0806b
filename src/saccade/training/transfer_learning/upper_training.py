"""Training of the upper layers of a network on kept outputs of its frozen lower layers.

The lower layers of a pretrained network fit many data sets; computing them takes most of the time of a step. Here they
are computed once for each image and for some augmented versions of it, by the fastest runtime. The steps then train the
upper layers on these outputs. Source: the bottleneck features of J. Donahue et al., "DeCAF", ICML 2014, here for
several versions and below the last layers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property, partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from saccade.augmentation.augmentation import Augmentation
from saccade.augmentation.batches import WHOLE, Batch, BatchPosition, Part
from saccade.augmentation.mixing import mix_images, sample_mixing
from saccade.augmentation.pixel_operations import augment_pixels
from saccade.augmentation.sample_order import epoch_order
from saccade.data.cache.disk_cache import cache_limit
from saccade.data.dataset import Split, SplitName
from saccade.errors import TrainingError
from saccade.models.batchnorm_folding.fold import fold_normalization, refold
from saccade.models.build import with_softmax
from saccade.models.frozen_part import cut_layer, lower_part, upper_features, upper_part
from saccade.models.layer_outputs import inner_network
from saccade.models.onnx.to_onnx import to_onnx
from saccade.models.weights import assign, named_weights
from saccade.onnx_session import open_session
from saccade.recipes import Recipe
from saccade.runs.run import Run
from saccade.training.interrupt import StopRequest
from saccade.training.progress import Progress
from saccade.training.step import DescentStep, Work
from saccade.training.transfer_learning.features import Features, in_parallel
from saccade.training.transfer_learning.kept_outputs import KeptOutputs, OutputExtractor
from saccade.training.transfer_learning.pretrained import Weights, weights_fingerprint

_STOPPING = "stopping; the outputs that are computed so far are kept in the cache"


def versions_within_cache(network: keras.Model, recipe: Recipe, images: int, decoded: int) -> int:
    """Return the number of augmented versions whose outputs the cache can hold, at least 1 and at most the recipe's.

    The number is the same for images in the cache and for the same images that are decoded when they are needed, so
    that both trainings are the same.

    Args:
        network: training model with frozen lower layers.
        recipe: recipe that keeps outputs.
        images: number of training images.
        decoded: bytes of the decoded images of the data.

    Raises:
        DataError: the size limit of the cache is invalid.
    """
    cut = cut_layer(network)
    if not cut:
        return recipe.augmented_versions  # an error follows, which names the remedy
    values: int = math.prod(network.get_layer(cut).output.shape[1:])
    each = images * values * np.dtype(np.float16).itemsize
    limit = cache_limit()
    beside = limit - decoded if decoded <= limit else limit
    return max(1, min(recipe.augmented_versions, beside // max(1, each) - 1))


class OutputGraph:
    """Compiled work on batches of kept outputs: mixing, then a function of the upper layers' inputs.

    Args:
        upper: upper part of the training model.
        recipe: recipe with mixup and CutMix.
        work: as for `PixelGraph`.
        further: as for `PixelGraph`.
    """

    def __init__(
        self,
        upper: keras.Model,
        recipe: Recipe,
        work: Work,
        further: Sequence[tf.TensorSpec] = (),
    ) -> None:
        self.variables = upper.trainable_variables
        """Trained variables, the same in all epochs."""
        compute, given = work(self.variables), len(further)

        def run(outputs: Any, labels: Any, *others: Any) -> Any:
            inputs, share = mix_images(outputs, *others[given:]) if others[given:] else (outputs, None)
            return compute(inputs, labels, share, *others[:given])

        signature = [tf.TensorSpec((None, *upper.input_shape[1:]), tf.float32), tf.TensorSpec((None,), tf.int64)]
        signature += further
        if recipe.mixup or recipe.cutmix:
            signature.append(tf.TensorSpec((4,), tf.float32))
        self._compiled: Callable[..., Any] = tf.function(
            run, input_signature=signature, jit_compile=False, autograph=False
        )

    def begin_epoch(self, epoch: int) -> None:
        """Do nothing: all epochs train the same variables."""

    def __call__(self, batch: Batch, *further: Any) -> Any:
        """Run the work on a batch of kept outputs."""
        mixing = () if batch.mixing is None else (batch.mixing,)
        return self._compiled(batch.images, batch.labels, *further, *mixing)


class UpperStep(DescentStep):
    """Step of the upper layers on kept outputs.

    Args:
        upper: upper part of the training model; its weights are updated in place.
        recipe: recipe with label smoothing.
        optimizer: optimizer, not built yet.
        class_weights: weight of each class in the loss, float32 [classes]. None: all weights are 1.
    """

    def __init__(
        self,
        upper: keras.Model,
        recipe: Recipe,
        optimizer: keras.optimizers.Optimizer,
        class_weights: NDArray[np.float32] | None,
    ) -> None:
        super().__init__(upper, recipe, optimizer, class_weights, lambda work: OutputGraph(upper, recipe, work))


class UpperTraining:
    """Kept outputs of a training's images, and batches and validation from them.

    Args:
        trained: training model; its frozen layers are never changed.
        validated: stock network in float32, from pixels to probabilities; its upper layers are changed.
        run: run with the recipe.
        splits: splits "train" and "validation".
        progress: callbacks.
        stop: stop request, which is checked after each batch of outputs.

    Raises:
        TrainingError: the network has no frozen lower layers.
    """

    def __init__(
        self,
        trained: keras.Model,
        validated: keras.Model,
        run: Run,
        splits: Mapping[SplitName, Split],
        progress: Progress,
        stop: StopRequest,
    ) -> None:
        self._run, self._splits, self._progress, self._stop = run, splits, progress, stop
        cut = cut_layer(trained)
        if not cut:
            raise TrainingError(
                "there are no outputs of frozen layers to keep",
                found=f"trainable_fraction={run.recipe.trainable_fraction:g}",
                remedy="freeze lower layers, --set trainable_fraction=0.33, or keep none, --set augmented_versions=0",
            )
        self.network = upper_part(trained, cut)
        """Upper part of the training model, from kept outputs to logits."""
        self._trained, self._validated, self._cut = trained, validated, cut
        # Without the resizing around it, where the network sees images smaller than they are stored.
        self._stock = inner_network(validated)
        self._versions: list[KeptOutputs] = []
        self._unaugmented: dict[SplitName, KeptOutputs] = {}
        names: tuple[SplitName, ...] = ("validation", "train")
        self._places = {
            content: (name, position) for name in names for position, content in enumerate(splits[name].hashes)
        }

    def compute_outputs(self, part: Part = WHOLE) -> None:
        """Compute the outputs for the training images and their augmented versions, by the weights of the training.

        The first call computes them; later calls do nothing.

        Args:
            part: part of the outputs to compute first. Workers that share a cache compute each their own part.

        Raises:
            KeyboardInterrupt: a stop was requested.
        """
        if self._versions:
            return
        training, recipe = self._splits["train"], self._run.recipe
        augmentation = Augmentation.of(recipe)
        total = (recipe.augmented_versions + 1) * len(training)
        with self._stop.with_message(_STOPPING), self._progress.on_stage("outputs", total=total, unit="images") as bar:
            advance = self._stop.after(bar.update)
            self._versions = [self._outputs_without_augmentation("train", advance, part)]
            for number in range(1, recipe.augmented_versions + 1):
                augment = partial(
                    augment_pixels, augmentation=augmentation, seed=recipe.seed, epoch=number, mirror=True
                )
                version = json.dumps([asdict(augmentation), recipe.seed, number])
                self._versions.append(self._extract(training, advance, augment=augment, version=version, part=part))
        unkept = sum(version.num_unkept for version in self._versions)
        if unkept:
            self._progress.on_warning(
                f"the cache has no room for {unkept:,} of {total:,} outputs of frozen layers (SACCADE_CACHE_LIMIT): "
                "they are computed again whenever they are needed"
            )

    @cached_property
    def _extract(self) -> OutputExtractor:
        # The weights are those of the training model from now on: a resumed training has restored them before.
        assign(self._validated, named_weights(self._trained))
        lower = named_weights(lower_part(self._stock, self._cut))
        fingerprint = weights_fingerprint(self._run.recipe.network, lower)
        return OutputExtractor(self._stock, self._cut, fingerprint, self._run.preprocessing, self._run.data_name)

    def batches(self, first: BatchPosition, part: Part = WHOLE) -> Iterator[Batch]:
        """Yield the batches of an epoch: order, version and mixing are functions of (seed, epoch, position).

        Args:
            first: position of the first batch to yield; the last batch has the remaining images.
            part: part of each batch to yield.
        """
        labels, recipe = self._splits["train"].labels, self._run.recipe
        epoch, batch_size = first.epoch, first.size
        augmentation = Augmentation.of(recipe) if recipe.phase(epoch) == "augmented" else None
        versions = self._versions if augmentation is not None else self._versions[:1]
        order = epoch_order(labels, recipe.sampling, seed=recipe.seed, epoch=epoch)
        for start in range(first.start, len(order), batch_size):
            position = BatchPosition(epoch, start, min(batch_size, len(order) - start))
            samples = part.of(order[start : start + batch_size])
            # All versions occur in each epoch, and each sample has another one in the next epoch.
            numbers = (samples + epoch) % len(versions)
            # Not in the graph: TensorFlow's conversion of 16 bits logs an error on most processors.
            outputs = np.empty((len(samples), *self.network.input_shape[1:]), np.float32)
            for number, version in enumerate(versions):
                outputs[numbers == number] = version.take(samples[numbers == number])
            mixing = None
            if augmentation is not None:
                mixing = sample_mixing(augmentation, seed=recipe.seed, epoch=epoch, position=start)
            drawn = None if mixing is None else mixing.as_array()
            yield Batch(outputs, labels[samples], None, mixing=drawn, position=position)

    @property
    def width(self) -> int:
        """Number of features of an image."""
        return int(self._features.model.output_shape[-1])

    @property
    def num_versions(self) -> int:
        """Number of versions of each training image with features: the head is only a start, fitted to the images."""
        return 1

    @property
    def num_unkept(self) -> int:
        """Number of images whose features the cache had no room for: none, the features come from kept outputs."""
        return 0

    def of_training(self, version: int, advance: Callable[[int], object], out: Features) -> None:  # noqa: ARG002
        """Compute the features of the training images, float32 [n, d], by the weights of the training."""
        out[:] = self.of(self._splits["train"], advance)

    def of(self, images: Split, advance: Callable[[int], object]) -> Features:
        """Return the features of training or validation images, float32 [n, d], by the weights of the training."""
        return self._computed(named_weights(self._trained), images, self._features, advance)

    def features(self, weights: Weights, images: Split) -> Features:
        """Return the features in front of the head, float32 [n, d], of training or validation images."""
        return self._computed(weights, images, self._features, lambda _: None)

    def probabilities(self, weights: Weights, images: Split) -> NDArray[np.float32]:
        """Return class probabilities, float32 [n, classes], of training or validation images."""
        return self._computed(weights, images, self._probabilities, lambda _: None)

    @cached_property
    def _features(self) -> UpperInference:
        return UpperInference(upper_features(self._stock, self._cut))

    @cached_property
    def _probabilities(self) -> UpperInference:
        upper = upper_part(self._stock, self._cut)
        return UpperInference(upper if self._stock is self._validated else with_softmax(upper))

    def _computed(
        self, weights: Weights, images: Split, infer: UpperInference, advance: Callable[[int], object]
    ) -> NDArray[np.float32]:
        """Return outputs of the upper layers for images, by named weights, float32 [n, d]."""
        assign(self._validated, weights)
        places = [self._places[content] for content in images.hashes]
        result = np.empty((len(images), infer.model.output_shape[-1]), np.float32)
        for name in sorted({name for name, _ in places}):
            rows = np.array([row for row, (split, _) in enumerate(places) if split == name], np.int64)
            positions = np.array([places[row][1] for row in rows.tolist()], np.int64)
            kept = self._outputs_without_augmentation(name, self._stop.after(lambda _: None))
            part = np.empty((len(rows), result.shape[1]), np.float32)
            infer(kept, positions, advance, part)
            result[rows] = part
        return result

    def _outputs_without_augmentation(
        self, split: SplitName, advance: Callable[[int], object], part: Part = WHOLE
    ) -> KeptOutputs:
        if split not in self._unaugmented:
            self._unaugmented[split] = self._extract(self._splits[split], advance, part=part)
        return self._unaugmented[split]


class UpperInference:
    """Inference with upper layers on kept outputs, by ONNX Runtime, with the present weights of the layers.

    Args:
        model: model from kept outputs to features or probabilities.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        self._folded: keras.Model | None = None

    def __call__(
        self,
        kept: KeptOutputs,
        positions: NDArray[np.int64],
        advance: Callable[[int], object],
        out: NDArray[np.float32],
    ) -> None:
        """Compute the outputs for the kept outputs at `positions`, int64 [n], into `out`, float32 [n, d]."""
        self._folded = fold_normalization(self.model) if self._folded is None else refold(self._folded, self.model)
        session = open_session(to_onnx(self._folded, {}), threads=1)
        done = 0
        for outputs in in_parallel(session.run, _Kept(kept, positions), advance):
            out[done : done + len(outputs)] = outputs
            done += len(outputs)


class _Kept:
    """Kept outputs at positions, float32, as inputs of the upper layers."""

    def __init__(self, kept: KeptOutputs, positions: NDArray[np.int64]) -> None:
        self._kept, self._positions = kept, positions

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, images: slice) -> NDArray[np.float32]:
        return self._kept.take(self._positions[images]).astype(np.float32)
