"""Fixtures of all tests: a temporary cache, the shared data, and small real runs."""

import functools
import os
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from saccade.data.dataset import Split
from saccade.tensorflow_kernels import prefer_onednn

# Before a test imports TensorFlow: its process has the kernels of the processes that it starts, and so their bits.
prefer_onednn()

REPOSITORY = Path(__file__).resolve().parent.parent


def pytest_runtest_setup(item):
    """Skip tests that compute in bfloat16 where TensorFlow can't, such as with ONEDNN_MAX_CPU_ISA=AVX2.

    On a processor without bfloat16 the tests run: there Eigen computes in bfloat16, slowly.
    """
    if (item.get_closest_marker("bfloat16") or "bfloat16" in item.name) and not _convolves_in_bfloat16():
        pytest.skip("TensorFlow has no bfloat16 convolution here")


@functools.cache
def _convolves_in_bfloat16():
    import keras

    try:
        ones = keras.ops.ones((1, 4, 4, 1), "bfloat16")
        keras.ops.conv(ones, keras.ops.ones((3, 3, 1, 1), "bfloat16"), padding="same")
    except Exception as error:  # an error class of TensorFlow, which other backends do not have
        if type(error).__module__.startswith("tensorflow"):
            return False
        raise
    return True


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory):
    """A temporary cache for all tests, in place of the user's cache, and no data of the user."""
    patch = pytest.MonkeyPatch()
    patch.setenv("SACCADE_CACHE", str(tmp_path_factory.mktemp("cache")))
    patch.delenv("SACCADE_DATA", raising=False)
    yield
    patch.undo()


@pytest.fixture(scope="session")
def shared_data():
    """Folder with cifar10-jpeg.tar.xz and odd-images.tar.xz; tests that need the folder are skipped without it."""
    folder = Path(os.environ.get("SACCADE_TEST_SHARED", REPOSITORY.parent / "shared" / "data"))
    if not (folder / "odd-images.tar.xz").is_file():
        pytest.skip("the shared data is not beside the repository; set SACCADE_TEST_SHARED to its folder")
    return folder


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Function that makes a folder by its name, once for all workers of pytest-xdist.

    The first worker that needs the folder makes it; the others wait, and use the same folder. Tests do not write into
    it.
    """
    own = tmp_path_factory.getbasetemp()
    common = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "made-once"
    common.mkdir(exist_ok=True)

    def make_once(name, make):
        folder, made = common / name, common / f"{name}.made"
        with FileLock(common / f"{name}.lock"):
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)
                make(folder)
                made.touch()
        return folder

    return make_once


@pytest.fixture(scope="session")
def trained_once(made_once, tmp_path_factory):
    """Function that trains a run by its name, once for all workers, and returns a copy for this worker."""
    from saccade.runs.run import Run

    def train_once(name, train):
        return Run.open(shutil.copytree(made_once(f"run-{name}", train), tmp_path_factory.mktemp("runs") / name))

    return train_once


@pytest.fixture(scope="session")
def photo_folder(made_once):
    """Two classes of tiles of 80x80 pixels of scikit-learn's two photographs: 30 each in train/, 10 each in test/."""
    return made_once("photos", _write_tiles)


def _write_tiles(root):
    from sklearn.datasets import load_sample_images

    for name, photograph in zip(("palace", "flower"), load_sample_images().images, strict=True):
        for number in range(40):
            top, left = 80 * (number // 8), 80 * (number % 8)
            folder = root / ("test" if number % 4 == 3 else "train") / name
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(photograph[top : top + 80, left : left + 80]).save(folder / f"{number}.jpg", quality=90)


@pytest.fixture(scope="session")
def photo_run(photo_folder, trained_once):
    """Run of the default recipe, `photo`, on `photo_folder`, with one epoch of fine-tuning."""
    from saccade.training.train import train

    return trained_once("photos", lambda out: train(photo_folder, epochs=2, out=out, progress=False))


@pytest.fixture(scope="session")
def probe_run(photo_folder, trained_once):
    """Run of the recipe `linear-probe` on `photo_folder`."""
    from saccade.training.train import train

    return trained_once("probe", lambda out: train(photo_folder, recipe="linear-probe", out=out, progress=False))


@pytest.fixture(scope="session")
def field_cases(shared_data, tmp_path_factory):
    """The unpacked field-cases.tar.xz: small inputs, each a situation from bug reports of similar tools."""
    folder = tmp_path_factory.mktemp("field")
    with tarfile.open(shared_data / "field-cases.tar.xz") as archive:
        archive.extractall(folder, filter="tar")  # with links, which Saccade itself does not unpack
    return folder / "field-cases"


@pytest.fixture(scope="session")
def tiny_folder(made_once):
    """Three classes of real scanned digits as 32x32 PNG files, 40 each in train/ and 20 each in test/."""
    return made_once("tiny", _write_digits)


def _write_digits(root):
    from sklearn.datasets import load_digits

    digits = load_digits()
    for label, name in enumerate(("null", "one", "two")):
        own = np.flatnonzero(digits.target == label)[:60]
        for position, index in enumerate(own):
            folder = root / ("train" if position < 40 else "test") / name
            folder.mkdir(parents=True, exist_ok=True)
            gray = (digits.images[index] * 255 / 16).astype(np.uint8)
            Image.fromarray(gray).convert("RGB").resize((32, 32), Image.Resampling.BILINEAR).save(
                folder / f"{position:02}.png"
            )


@pytest.fixture(scope="session")
def photographs(shared_data, tmp_path_factory):
    """Three classes of photographs of clothing of different sizes, without a test split, 20 each."""
    root = tmp_path_factory.mktemp("photographs") / "photographs"
    with tarfile.open(shared_data / "clothing.tar") as archive:
        for label in ("hat", "pants", "shoes"):
            members = sorted(name for name in archive.getnames() if f"/train/{label}/" in f"/{name}")
            (root / label).mkdir(parents=True)
            for name in [name for name in members if name.endswith(".jpg")][:20]:
                content = archive.extractfile(name)
                assert content is not None
                (root / label / Path(name).name).write_bytes(content.read())
    return root


class _Untouchable(Split):
    """A split whose images must not be read."""

    def take(self, positions):
        raise AssertionError("test images were read")


@pytest.fixture(scope="session")
def dataset(tiny_folder):
    """Dataset of `tiny_folder` whose test images must not be read."""
    from saccade.data.load import load

    loaded = load(tiny_folder)
    return replace(loaded, splits={**loaded.splits, "test": _Untouchable(**vars(loaded.splits["test"]))})


@pytest.fixture(scope="session")
def tiny_run(tiny_folder, trained_once):
    """Run of the recipe `folder` on `tiny_folder`: five epochs, the last with augmentation.

    The network has 0.2 million weights, because many tests copy, open, export and hash the run.
    """
    from saccade.training.train import train

    settings = {"plain_epochs": 4, "augmented_epochs": 1, "batch_size": 12, "learning_rate": 0.002}

    def train_and_trim(out):
        train(tiny_folder, recipe="folder", out=out, settings=settings, progress=False)
        shutil.rmtree(out / "checkpoints")  # no test resumes this run, and many copy it

    return trained_once("tiny", train_and_trim)


@pytest.fixture
def run_copy(tiny_run, tmp_path):
    """Copy of `tiny_run`, into which a test may write."""
    from saccade.runs.run import Run

    return Run.open(shutil.copytree(tiny_run.path, tmp_path / "run"))


@pytest.fixture(scope="module")
def narrow_fast():
    """The network of `fast` with few channels, which takes a fifth of the time."""
    from saccade.models.networks import fast

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast, "CHANNELS", (16, 16, 32))
        yield


@pytest.fixture(scope="module")
def slim_convnext():
    """ConvNeXtTiny with one block of few channels in each stage, and layers of the same kinds."""
    import keras
    from keras.src.applications.convnext import ConvNeXt

    def slim(**settings):
        return ConvNeXt(depths=[1] * 4, projection_dims=[8, 16, 24, 32], name="convnext_tiny", **settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.applications, "ConvNeXtTiny", slim)
        yield


@pytest.fixture(scope="session")
def settled():
    """Function that makes the body of a backbone with weights like those of a trained network.

    Every channel has another scale and shift, and normalization has the statistics of images. With initial weights,
    activations would grow or vanish from layer to layer, and rounding errors with them.
    """
    import keras

    def layers_of(model):
        for layer in model.layers:
            yield from layers_of(layer) if isinstance(layer, keras.Sequential) else [layer]

    def make(backbone, size, images=None):
        keras.utils.set_random_seed(0)  # a seed with which folding changes EfficientNetV2B0 by more than 1e-5
        body, draw = backbone._from_keras(size, size, None), np.random.default_rng(1)
        for layer in layers_of(body):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = 0.0
            for weight in layer.weights:
                if weight.name == "gamma":
                    weight.assign(draw.uniform(0.7, 1.3, weight.shape))
                elif weight.name in ("beta", "bias"):
                    weight.assign(draw.normal(0, 0.1, weight.shape))
        seen = draw.integers(0, 256, (8, size, size, 3)) if images is None else images
        body(seen.astype(np.float32), training=True)
        return body

    return make
