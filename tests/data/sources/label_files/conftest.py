"""Fixture for the tests of label files: a folder with four small files in place of images."""

import pytest
from tests.data.images import write


@pytest.fixture
def images(tmp_path):
    for number in range(1, 5):
        write(tmp_path / "data" / f"{number}.png", str(number).encode())
    return tmp_path / "data"
