"""Training script of the tutorial, written from its description: plain Keras, without Saccade.

    python benchmarks/tutorial_script.py ARRAYS.npz --plain-epochs 10 --augmented-epochs 5 [--seed 0] [--no-autotune]

ARRAYS.npz has x_train and x_validation, uint8 [n, height, width, 3], and y_train and y_validation, int64 [n].
`tutorial.py` writes it, with the validation images that Saccade uses for the same seed.

Prints a JSON line for each epoch. Its seconds are the time from the start of the epoch to the start of the next one (of
the last epoch: until `fit` returns), so that they include validation and the teardown of iterators.

It differs from the tutorial in one point: the generator has a whole number of batches. With steps_per_epoch = n // 32
and a partial batch, Keras 3 counts the partial batch as the second epoch, which then has a single step.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.typing import NDArray

BATCH = 32


class EpochPrinter(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no type hints
    """Callback that prints each epoch when the next one begins or `close` is called."""

    def __init__(self, phase: str) -> None:
        super().__init__()
        self._phase = phase
        self._began = 0.0
        self._ended: dict[str, Any] | None = None

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002 - Keras calls it
        """Start the clock."""
        self.close()
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Store the metrics until the epoch is printed."""
        metrics = logs or {}
        self._ended = {
            "epoch": epoch + 1,
            "loss": float(metrics["loss"]),
            "accuracy": float(metrics["accuracy"]),
            "validation_accuracy": float(metrics["val_accuracy"]),
        }

    def close(self) -> None:
        """Print the last finished epoch, if it is not printed yet."""
        if self._ended is not None:
            seconds = time.perf_counter() - self._began
            print(json.dumps({"phase": self._phase, "seconds": round(seconds, 3), **self._ended}), flush=True)
            self._ended = None


def main() -> None:
    """Train in two phases, as the tutorial does."""
    options = read_options()
    keras.utils.set_random_seed(options.seed)
    if options.no_autotune:
        switch_autotuning_off()
    with np.load(options.arrays, allow_pickle=False) as arrays:
        x_train, x_validation = (rescaled(arrays[name]) for name in ("x_train", "x_validation"))
        y_train, y_validation = arrays["y_train"], arrays["y_validation"]
    validation = (x_validation, y_validation)

    model = build_model(x_train.shape[1:], classes=int(y_train.max()) + 1)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])

    if options.plain_epochs:
        printer = EpochPrinter("plain")
        model.fit(
            x_train, y_train, validation_data=validation, epochs=options.plain_epochs, batch_size=BATCH,
            callbacks=[printer], verbose=0,
        )  # fmt: skip
        printer.close()

    if options.augmented_epochs:
        printer = EpochPrinter("augmented")
        generator = tf.keras.preprocessing.image.ImageDataGenerator(
            width_shift_range=0.1, height_shift_range=0.1, horizontal_flip=True
        )
        steps = len(x_train) // BATCH
        flow = generator.flow(x_train[: steps * BATCH], y_train[: steps * BATCH], batch_size=BATCH)
        model.fit(
            flow, validation_data=validation, steps_per_epoch=steps, epochs=options.augmented_epochs,
            callbacks=[printer], verbose=0,
        )  # fmt: skip
        printer.close()


def read_options() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Trains as the tutorial does: plain Keras, two phases.")
    parser.add_argument("arrays", type=Path, metavar="ARRAYS.npz", help="x_train, y_train, x_validation, y_validation")
    parser.add_argument("--plain-epochs", type=int, default=10, help="number of epochs without augmentation")
    parser.add_argument("--augmented-epochs", type=int, default=5, help="number of epochs with shifts and flips")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-autotune", action="store_true", help="switch tf.data's autotuning off")
    options = parser.parse_args()
    if not options.arrays.is_file():
        parser.error(f"there is no file '{options.arrays}'")
    return options


def rescaled(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Rescale images from 0 to 255 to float32 from 0 to 1."""
    return images.astype(np.float32) / np.float32(255)


def build_model(shape: tuple[int, ...], classes: int) -> keras.Model:
    """Build 3 x [Conv - BN - Conv - BN - MaxPool] of 32, 64, 128 channels, and a dense layer of 1024."""
    inputs = x = keras.Input(shape)
    for channels in (32, 64, 128):
        for _ in range(2):
            x = layers.Conv2D(channels, (3, 3), activation="relu", padding="same")(x)
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D((2, 2))(x)
    x = layers.Flatten()(x)
    x = layers.Dropout(0.2)(x)
    x = layers.Dense(1024, activation="relu")(x)
    x = layers.Dropout(0.2)(x)
    x = layers.Dense(classes, activation="softmax")(x)
    return keras.Model(inputs, x)


def switch_autotuning_off() -> None:
    """Switch autotuning off in the tf.data pipelines of `fit`.

    Keras has no public way to set options of its pipelines, so the private method that creates them is wrapped. A test
    fails if Keras changes this method.
    """
    from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    def without_autotuning(get_tf_dataset: Any) -> Any:
        def get(adapter: Any) -> Any:
            options = tf.data.Options()
            options.autotune.enabled = False
            return get_tf_dataset(adapter).with_options(options)

        return get

    for adapter in (ArrayDataAdapter, PyDatasetAdapter):
        adapter.get_tf_dataset = without_autotuning(adapter.get_tf_dataset)


if __name__ == "__main__":
    main()
