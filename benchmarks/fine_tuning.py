"""Speed of the parts of a fine-tuning on kept outputs, relative to the features, and relative to the layers alone.

    python benchmarks/fine_tuning.py [--sizes 160 224] [--repeats 5]

The images are random; their content does not change the time. The program measures, with all cores,

- features: ONNX Runtime, the whole network without its head;
- outputs: ONNX Runtime, the frozen lower layers, and the augmentation of the images before them;
- upper features: ONNX Runtime, the upper layers on kept outputs;
- steps: `UpperStep`, forward, backward and update of the upper layers in TensorFlow;
- layers alone: the sum over the upper layers of forward and backward of each layer, compiled by itself. Nothing that
  trains these layers with the same operations can be faster, except by computing several layers together.

`training/time_budget/fine_tuning_budget.py` has the ratios as constants.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from processes import at_least_one
from results import Result, add_results_option, keep_results

from saccade.augmentation.augmentation import Augmentation
from saccade.augmentation.batches import Batch
from saccade.augmentation.pixel_operations import augment_pixels
from saccade.data.dataset import Preprocessing, Split
from saccade.keras_loading import load_keras_quietly
from saccade.recipes import get_recipe

_IMAGES = 256
_CLASSES = 10
_SECONDS = 1.0


def main() -> None:
    """Measure each size, print and save the results."""
    parser = argparse.ArgumentParser(description="Speed of the parts of a fine-tuning.")
    parser.add_argument("--sizes", type=at_least_one, nargs="+", default=[160, 224], help="sides of the images")
    parser.add_argument("--repeats", type=at_least_one, default=5, help="number of measurements")
    add_results_option(parser)
    options = parser.parse_args()
    load_keras_quietly()
    for size in options.sizes:
        rates: dict[str, list[float]] = {}
        with tempfile.TemporaryDirectory() as folder:
            os.environ["SACCADE_CACHE"] = folder
            parts = _parts(size)
            for _ in range(options.repeats):
                for name, seconds in parts.items():
                    rates.setdefault(name, []).append(1 / seconds())
        relative = {
            f"{name}, seconds relative to the features": [
                features / rate for features, rate in zip(rates["features"], rates[name], strict=True)
            ]
            for name in ("outputs", "upper features", "steps")
        }
        relative["steps, part of the layers alone"] = [
            step / alone for step, alone in zip(rates["steps"], rates["layers alone"], strict=True)
        ]
        subject = f"fine-tuning at {size}x{size}"
        results = [Result(subject, name, "images/s", values) for name, values in rates.items()]
        results += [Result(subject, name, "fraction", values) for name, values in relative.items()]
        keep_results("fine_tuning", results, options.results)


def _parts(size: int) -> dict[str, Callable[[], float]]:
    """Return functions that measure the seconds for an image in each part."""
    from saccade.models.build import build_network, freeze_lower_layers
    from saccade.models.frozen_part import cut_layer, upper_features, upper_part
    from saccade.models.head import body_weights, without_head
    from saccade.models.pretrained.imagenet import imagenet_weights
    from saccade.models.weights import assign, named_weights
    from saccade.training.optimizers.build import build_optimizer
    from saccade.training.transfer_learning.features import FeatureExtractor
    from saccade.training.transfer_learning.kept_outputs import OutputExtractor
    from saccade.training.transfer_learning.upper_training import UpperInference, UpperStep

    recipe = get_recipe("photo")
    network = build_network(recipe, height=size, width=size, classes=_CLASSES)
    assign(network, {**named_weights(network), **body_weights(network, imagenet_weights())})
    freeze_lower_layers(network, recipe)
    preprocessing = Preprocessing(size, size)
    images = _images(size)
    cut = cut_layer(network)
    outputs_of = OutputExtractor(network, cut, "benchmark", preprocessing, "benchmark")
    features_of = FeatureExtractor(without_head(network), "benchmark", preprocessing, "benchmark")
    augment = partial(augment_pixels, augmentation=Augmentation.of(recipe), seed=0, epoch=1, mirror=True)
    kept = outputs_of(images, lambda _: None)
    upper = UpperInference(upper_features(network, cut))
    out = np.empty((_IMAGES, upper.model.output_shape[-1]), np.float32)
    step = UpperStep(upper_part(network, cut), recipe, build_optimizer(recipe, recipe.batch_size), None)
    batch = Batch(kept.take(np.arange(recipe.batch_size)).astype(np.float32), images.labels[: recipe.batch_size], None)
    versions = iter(range(10**6))
    alone = _layers_alone(upper_part(network, cut), recipe.batch_size)
    return {
        "features": lambda: features_of.seconds_per_image(images),
        "outputs": lambda: _each(
            lambda: outputs_of(images, lambda _: None, augment=augment, version=str(next(versions))), _IMAGES
        ),
        "upper features": lambda: _each(lambda: upper(kept, np.arange(_IMAGES), lambda _: None, out), _IMAGES),
        "steps": lambda: _each(lambda: step(batch, 1e-3), recipe.batch_size),
        "layers alone": lambda: sum(_each(call, recipe.batch_size, _SECONDS / 10) for call in alone),
    }


def _images(size: int) -> Split:
    rng = np.random.default_rng(0)
    return Split(
        store=rng.integers(0, 256, (_IMAGES, size, size, 3), np.uint8),
        rows=np.arange(_IMAGES),
        labels=rng.integers(0, _CLASSES, _IMAGES),
        names=[str(number) for number in range(_IMAGES)],
        hashes=[f"{number:032x}" for number in range(_IMAGES)],
        sizes=np.full((_IMAGES, 2), size, np.int32),
        modes=["RGB"] * _IMAGES,
        formats=["JPEG"] * _IMAGES,
        duplicate_groups=np.arange(_IMAGES),
    )


def _layers_alone(upper: Any, batch_size: int) -> list[Callable[[], object]]:
    """Return a function for each layer of the upper part, which runs its forward and backward pass."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    calls: list[Callable[[], object]] = []
    for layer in upper.layers:
        inputs = layer.input if isinstance(layer.input, list) else [layer.input]
        if not inputs or inputs[0] is layer.output:
            continue
        made = [tf.constant(rng.standard_normal((batch_size, *tensor.shape[1:])), tf.float32) for tensor in inputs]
        gradient = tf.constant(rng.standard_normal((batch_size, *layer.output.shape[1:])), tf.float32)
        calls.append(partial(_compiled(layer), made, gradient))
    return calls


def _compiled(layer: Any) -> Callable[..., Any]:
    import tensorflow as tf

    def forward_and_backward(inputs: Any, gradient: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs if len(inputs) > 1 else inputs[0], training=True)
        return tape.gradient(outputs, [*inputs, *layer.trainable_variables], output_gradients=gradient)

    compiled: Callable[..., Any] = tf.function(forward_and_backward, jit_compile=False, autograph=False)
    return compiled


def _each(work: Callable[[], object], images: int, least: float = _SECONDS) -> float:
    """Return the median seconds for each image of a call, repeated for a second and three times at least."""
    work()
    times: list[float] = []
    while len(times) < 3 or math.fsum(times) < least:
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return median(times) / images


if __name__ == "__main__":
    main()
