import json
import os
import subprocess
import sys
import tarfile

import pytest
from tests.data.images import class_folder, write

from saccade.data.dataset import Preprocessing
from saccade.data.load import load, load_default
from saccade.errors import DataError, DataNotFoundError

pytestmark = pytest.mark.usefixtures("own_cache")


def failure(data, kind=DataError):
    with pytest.raises(kind) as caught:
        load(data)
    return str(caught.value)


def test_the_digits_are_bundled():
    digits = load("digits")
    assert digits.class_names == tuple("0123456789")
    assert digits.preprocessing == Preprocessing(32, 32)
    assert (digits.name, digits.source) == ("digits", "digits")
    assert {name: len(split) for name, split in digits.splits.items()} == {"train": 1423, "test": 374}
    train = digits.splits["train"]
    assert train.sizes[0].tolist() == [8, 8]
    pixels = train.take(slice(None))
    assert pixels.max() == 255
    assert pixels.min() == 0
    assert "no test split" in digits.notes[0]
    assert load("digits").fingerprint == digits.fingerprint
    assert load("digits", image_size=8).splits["train"].store.shape == (1797, 8, 8, 3)


def test_data_is_found_by_name_in_the_data_folders(animals, tmp_path, monkeypatch):
    class_folder(tmp_path / "more" / "plants", classes=("fern", "moss"))
    with tarfile.open(tmp_path / "more" / "packed.tar.gz", "w:gz") as archive:
        archive.add(animals, "animals")
    monkeypatch.setenv("SACCADE_DATA", f"{tmp_path}{os.pathsep}{tmp_path / 'more'}")
    assert load("animals").source == str(animals)
    assert load("plants").class_names == ("fern", "moss")
    assert load("packed").source == str(tmp_path / "more" / "packed.tar.gz")


def test_cifar10_in_a_data_folder_is_used_before_a_download(tmp_path, monkeypatch):
    class_folder(tmp_path / "data" / "cifar10")
    monkeypatch.setenv("SACCADE_DATA", str(tmp_path / "data"))
    assert load("cifar10").class_names == ("cat", "dog")
    assert load_default().source == str(tmp_path / "data" / "cifar10")


def test_the_default_data_may_be_a_jpeg_copy_of_cifar10_with_a_note(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("SACCADE_DATA", str(tmp_path))
    class_folder(tmp_path / "cifar10-jpeg", size=(40, 40))
    dataset = load_default(image_size=32)
    assert dataset.name == "cifar10-jpeg"
    assert dataset.notes[0].startswith("this is a JPEG copy of CIFAR-10")
    assert dataset.preprocessing == Preprocessing(32, 32)


def test_an_unknown_name_is_an_error_with_suggestions(animals, tmp_path, monkeypatch):
    message = failure("cifar-10", DataNotFoundError)
    assert "there is no data called 'cifar-10'" in message
    assert "searched the names cifar10 and digits, the path" in message
    assert "SACCADE_DATA is not set" in message
    assert "what to do: did you mean cifar10?" in message
    monkeypatch.setenv("SACCADE_DATA", str(tmp_path))
    assert "did you mean animals?" in failure("animal", DataNotFoundError)


def test_a_file_that_is_not_an_archive_is_an_error(tmp_path):
    message = failure(write(tmp_path / "model.h5", b"x"))
    assert "is neither a folder, an archive of images nor a label file" in message
    assert "a file whose name ends in .zip, .tar, .tar.gz, .tgz, .tar.bz2, .tbz2, .tar.xz, .txz, " in message


OFFLINE = """
import json, os, sys
from saccade.data.load import load, load_default
from saccade.errors import DataNotFoundError
for os.environ["SACCADE_DATA"] in sys.argv[1:]:
    try:
        load("cifar10")
    except DataNotFoundError as error:
        strict = str(error)
    instead = load_default()
    print(json.dumps([strict, instead.name, instead.notes]))
"""


@pytest.mark.long
def test_without_a_network_cifar10_is_an_error_and_the_default_data_are_the_digits(tmp_path):
    # No program listens on port 9, so every download fails as without a network.
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY"), "http://127.0.0.1:9")
    write(tmp_path / "data" / "cifar-10-python.tar.gz", b"not the official archive")
    folders = ("", str(tmp_path / "data"))
    environment = {**os.environ, **proxies, "KERAS_HOME": str(tmp_path / "keras")}
    completed = subprocess.run(
        [sys.executable, "-c", OFFLINE, *folders], env=environment, capture_output=True, text=True, check=True
    )
    assert "Downloading" not in completed.stderr
    for data, line in zip(folders, completed.stdout.splitlines(), strict=True):
        strict, name, notes = json.loads(line)
        reason = (
            f"{tmp_path}/data/cifar-10-python.tar.gz is not the official archive, and the download failed"
            if data
            else "Connection refused"
        )
        assert strict.startswith(f"CIFAR-10 is not on this machine and can't be downloaded: {reason}\n")
        for way in ("connect to the network", "put the official archive cifar-10-python.tar.gz", "called cifar10"):
            assert way in strict
        assert name == "digits"
        assert notes[0].endswith(f"{reason}; these are the bundled digits instead")
