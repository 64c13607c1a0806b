"""Conversion of EfficientNet-Lite0's weights: allow-list of the pickle, checksum, and the file of the package."""

import pickle
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load
from tests.tools.source_file import source_contents

from saccade.models import pretrained
from saccade.models.pretrained import imagenet
from tools import convert_efficientnet_lite0


class Touch:
    """Object whose pickle makes a file when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("position", range(4))
def test_a_pickle_with_other_names_is_not_executed(position, tmp_path):
    parts = [119547037146038801333356, 1001, {}, {}]  # magic number, version, sizes of types, state
    parts[position] = Touch(tmp_path / "touched")
    contents = b"".join(pickle.dumps(part, protocol=2) for part in parts)
    with pytest.raises(pickle.UnpicklingError, match="is not allowed"):
        convert_efficientnet_lite0.read_state(contents)
    assert not (tmp_path / "touched").exists()
    pickle.loads(contents if position == 0 else pickle.dumps(parts[position]))  # the same pickle without the allow-list
    assert (tmp_path / "touched").exists()


def test_another_file_is_refused_by_its_checksum(tmp_path, monkeypatch):
    monkeypatch.setattr(convert_efficientnet_lite0, "TARGET", tmp_path / "written.safetensors")
    source = tmp_path / "efficientnet-lite0-57934424.pth"
    source.write_bytes(pickle.dumps(Touch(tmp_path / "touched")))
    with pytest.raises(SystemExit, match="is another file: its SHA-256 is"):
        convert_efficientnet_lite0.main(source)
    assert sorted(tmp_path.iterdir()) == [source]


@pytest.mark.nightly
def test_the_file_of_the_package_is_the_converted_source(tmp_path, monkeypatch):
    monkeypatch.setattr(convert_efficientnet_lite0, "TARGET", tmp_path / "written.safetensors")
    source = tmp_path / "source.pth"
    source.write_bytes(source_contents())
    convert_efficientnet_lite0.main(source)
    converted = load((tmp_path / "written.safetensors").read_bytes())
    packaged = load(files(pretrained).joinpath(imagenet.FILE).read_bytes())
    assert converted.keys() == packaged.keys()
    for name, array in packaged.items():
        assert array.dtype == converted[name].dtype
        np.testing.assert_array_equal(array, converted[name])
