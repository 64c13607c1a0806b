"""Fixtures for the tests of loading: a new cache for each test, and a small folder of classes."""

import pytest
from tests.data.images import class_folder


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def animals(tmp_path):
    return class_folder(tmp_path / "animals")
