import pytest
from tests.cluster.ray_cluster import RayCluster


@pytest.fixture(scope="module")
def cluster():
    """Cluster of two nodes with one core each."""
    started = RayCluster()
    yield started
    started.close()
