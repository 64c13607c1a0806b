"""A run whose predictions differ between images, and a server of this run that the tests share."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.deploy.server.serving import serving

import saccade
from saccade.data.sources.archives import archive_hash, unpacked


@pytest.fixture(scope="session")
def noisy_digits(made_once):
    """Create a folder with three classes of noisy scanned digits, too noisy for certainty; 20 test images per class."""
    return made_once("noisy", _write_noisy_digits)


def _write_noisy_digits(root):
    from sklearn.datasets import load_digits

    digits, rng = load_digits(), np.random.default_rng(0)
    for label, name in ((3, "three"), (5, "five"), (8, "eight")):
        for position, index in enumerate(np.flatnonzero(digits.target == label)[:150]):
            folder = root / ("train" if position < 130 else "test") / name
            folder.mkdir(parents=True, exist_ok=True)
            gray = Image.fromarray((digits.images[index] * 255 / 16).astype(np.uint8)).resize((32, 32))
            noisy = np.asarray(gray) + rng.normal(0, 60, (32, 32))
            Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(folder / f"{position:03}.png")


@pytest.fixture(scope="session")
def images_run(noisy_digits, trained_once):
    """Train and evaluate a run."""
    return trained_once(
        "images",
        lambda out: saccade.evaluate(saccade.train(noisy_digits, recipe="folder", epochs=8, out=out, progress=False)),
    )


@pytest.fixture(scope="session")
def server(images_run):
    """Start a server of the run."""
    with serving(images_run.path) as running:
        yield running


@pytest.fixture(scope="session")
def page_url(server):
    """Return the URL of the page."""
    return server.url


@pytest.fixture(scope="session")
def test_files(noisy_digits):
    """Return the 60 files of the test images."""
    return sorted((noisy_digits / "test").rglob("*.png"))


@pytest.fixture(scope="session")
def page_examples(images_run, test_files):
    """Return a correctly predicted image of each class: class name -> file."""
    correct: dict[str, Path] = {}
    for prediction, file in zip(saccade.predict(images_run, test_files), test_files, strict=True):
        if prediction.top[0].class_name == file.parent.name:
            correct.setdefault(file.parent.name, file)
    return correct


@pytest.fixture(scope="session")
def odd_files(shared_data):
    """Return the odd images of the shared data, with damaged and hostile images, and the other files among them."""
    archive = shared_data / "odd-images.tar.xz"
    with unpacked(archive, archive_hash(archive)) as folder:
        yield sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size < 16_000_000)
