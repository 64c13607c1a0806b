"""Peer: Keras's guide "Transfer learning & fine-tuning" with the network EfficientNet-Lite0 of stock Keras layers.

As in the guide: RandomFlip and RandomRotation(0.1), GlobalAveragePooling2D, Dropout(0.2), Dense; the base runs in
inference mode, first frozen with Adam(1e-3), then trained with Adam(1e-5); batches of 64. The guide's learning rates
are constant, so a phase can end at any step: the head has two thirds of the budget, and the fine-tuning the rest. With
less than a minute for the fine-tuning, the head has the whole budget, since the first step of the fine-tuning takes 25
s and more, and at its learning rate a few steps change nothing. Decoded images are kept in memory. The models are not
compiled by XLA, Keras's default, which makes depthwise convolutions on a CPU many times slower. Training images are
those of the training and of the validation split.
"""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf
from keras import layers
from protocol import SIDE, Job

BATCH = 64
HEAD_PART = 2 / 3  # of the budget
MIN_FINE_TUNING = 60  # seconds


class StopAtSecond(keras.callbacks.Callback):  # type: ignore[misc]
    """Ends a fit before the step that would go beyond a second of the budget."""

    def __init__(self, job: Job, second: float) -> None:
        super().__init__()
        self.job, self.second, self.steps, self.slowest, self.step_began = job, second, 0, 0.0, 0.0

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        """Note when the step begins."""
        self.step_began = self.job.elapsed

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        """Stop if the time does not suffice for another step."""
        self.steps += 1
        if self.steps > 1:  # the first step includes the compilation
            self.slowest = max(self.slowest, self.job.elapsed - self.step_began)
        self.model.stop_training = self.job.elapsed + self.slowest > self.second


def main(job: Job) -> None:
    """Train the head, fine-tune, and predict the test images."""
    network = keras.saving.load_model(job.weights / "efficientnet_lite0.keras", compile=False)
    job.show_weights(lambda files: network.predict_on_batch(pixels(files)).argmax(axis=1).tolist())
    keras.utils.set_random_seed(job.seed)
    base = keras.Model(network.input, network.get_layer("top_relu6").output)
    base.trainable = False
    inputs = keras.Input((SIDE, SIDE, 3))
    x = layers.GlobalAveragePooling2D()(base(inputs, training=False))
    model = keras.Model(inputs, layers.Dense(len(job.class_names))(layers.Dropout(0.2)(x)))
    batches = training_batches(job)
    fine_tunes = (1 - HEAD_PART) * job.seconds >= MIN_FINE_TUNING
    fit(job, model, batches, rate=1e-3, end=(HEAD_PART if fine_tunes else 1) * job.seconds, name="head")
    if fine_tunes:
        base.trainable = True
        fit(job, model, batches, rate=1e-5, end=job.seconds, name="fine-tuning")
    job.end_training()
    test = images_of(job.data / "test", batch_size=BATCH, shuffle=False)
    logits = model.predict(test.map(lambda images, _: images), verbose=0)
    job.save([Path(path) for path in test.file_paths], keras.ops.convert_to_numpy(keras.ops.softmax(logits)).tolist())


def pixels(files: list[Path]) -> tf.Tensor:
    """Return the central squares of JPEG files, pixels 0 to 255, float32 [n, 224, 224, 3]."""
    images = [tf.io.decode_jpeg(tf.io.read_file(str(file))) for file in files]
    return tf.stack([keras.preprocessing.image.smart_resize(image, (SIDE, SIDE)) for image in images])


def images_of(folder: Path, **settings: object) -> tf.data.Dataset:
    """Return the images of class folders, with the defaults of Keras."""
    return keras.utils.image_dataset_from_directory(folder, image_size=(SIDE, SIDE), verbose=False, **settings)


def training_batches(job: Job) -> tf.data.Dataset:
    """Return batches of augmented images, without end."""
    augmentation = [layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)]

    def augment(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        for layer in augmentation:
            images = layer(images)
        return images, labels

    images, *others = [images_of(folder, batch_size=None, seed=job.seed) for folder in job.train_folders]
    for other in others:
        images = images.concatenate(other)
    shuffled = images.cache().shuffle(4 * BATCH, seed=job.seed).repeat()
    return shuffled.batch(BATCH).map(augment, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def fit(job: Job, model: keras.Model, batches: tf.data.Dataset, *, rate: float, end: float, name: str) -> None:
    """Train the trainable layers until a second of the budget."""
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False,
    )
    stop = StopAtSecond(job, end)
    history = model.fit(batches, steps_per_epoch=10**6, callbacks=[stop], verbose=0)
    job.notes |= {f"steps, {name}": stop.steps, f"loss, {name}": history.history["loss"][-1]}


if __name__ == "__main__":
    main(Job.of_command_line())
