"""Near-duplicates among padded photographs: the padding, which is equal, does not make different images similar."""

import shutil
import tarfile

import numpy as np
import pytest

from saccade.data.load import load


@pytest.fixture(scope="module")
def photographs(shared_data, tmp_path_factory):
    """Forty photographs of hats and forty of pants, and copies of four hats under other names."""
    folder = tmp_path_factory.mktemp("clothing")
    with tarfile.open(shared_data / "clothing.tar") as archive:
        for name in ("hat", "pants"):
            members = [member for member in archive.getmembers() if f"/train/{name}/" in member.name]
            archive.extractall(folder, members=members[:40], filter="data")
    (train,) = folder.rglob("train")
    for path in sorted((train / "hat").iterdir())[:4]:
        shutil.copy(path, path.with_name(f"copy-{path.name}"))
    return train


def test_groups_do_not_depend_on_the_fit(photographs):
    groups = {}
    for fit in ("crop", "pad", "squash"):
        dataset = load(photographs, fit=fit)
        splits = dataset.splits.values()
        numbers = np.concatenate([split.duplicate_groups for split in splits])
        names = [name for split in splits for name in split.names]
        groups[fit] = {
            frozenset(names[place] for place in np.flatnonzero(numbers == number)) for number in np.unique(numbers)
        }
        assert sum(len(group) > 1 for group in groups[fit]) == 4
    assert groups["pad"] == groups["squash"] == groups["crop"]
