"""Fixtures of the tests of labeling."""

import pytest
from tests.labeling.heaps import make_heap


@pytest.fixture(scope="session")
def heap(shared_data, tmp_path_factory):
    """240 photographs of four signs in one folder under other names, and the true class of each."""
    return make_heap(shared_data, tmp_path_factory.mktemp("heap"))
