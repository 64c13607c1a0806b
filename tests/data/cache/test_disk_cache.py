import os
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pytest
from tests.data.images import write

from saccade.data.cache import disk_cache
from saccade.errors import DataError


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SACCADE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def keep(key, size=1000, kind="decoded", name="data", used=None):
    """Keep an entry of about `size` bytes, last used `used` seconds after 1970, or now."""
    with disk_cache.building() as built:
        write(built / "contents", bytes(size))
        path = disk_cache.keep(built, kind, key, name)
    if used is not None:
        os.utime(path / "entry.json", (used, used))
    return path


def keys():
    return [entry.path.name for entry in disk_cache.cache_entries()]


def test_the_environment_sets_the_folder_of_the_cache(folder, monkeypatch):
    assert disk_cache.cache_folder() == folder
    monkeypatch.delenv("SACCADE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    assert disk_cache.cache_folder().name == "saccade"


def test_a_lookup_finds_an_entry_and_updates_its_last_use(folder):
    assert disk_cache.cache_entries() == []
    path = keep("abc", used=1000)
    (entry,) = disk_cache.cache_entries()
    assert (entry.kind, entry.name, entry.path) == ("decoded", "data", folder / "decoded" / "abc")
    assert 1000 <= entry.bytes < 20_000
    assert entry.last_used == datetime.fromtimestamp(1000, UTC)
    assert disk_cache.find_entry("decoded", "abc") == path
    assert disk_cache.cache_entries()[0].last_used > entry.last_used
    assert disk_cache.find_entry("decoded", "other") is None


def test_a_failed_build_leaves_no_files(folder):
    with pytest.raises(FileExistsError), disk_cache.building() as built:
        write(built / "half", b"").touch(exist_ok=False)
    assert list((folder / "building").iterdir()) == []
    assert keys() == []


def test_an_existing_entry_is_not_overwritten():
    with disk_cache.building() as slow:
        write(slow / "contents", b"slow")
        fast = keep("abc", size=4)
        assert disk_cache.keep(slow, "decoded", "abc", "data") == fast
    assert (fast / "contents").read_bytes() == bytes(4)


def test_the_least_recently_used_entries_are_removed_above_the_limit(monkeypatch):
    keep("old", 400_000, used=1000)
    keep("older", 400_000, used=900)
    keep("recent", 400_000, used=2000)
    monkeypatch.setenv("SACCADE_CACHE_LIMIT", "900KB")
    keep("new", 400_000)
    assert keys() == ["new", "recent"]


def test_results_of_reading_files_are_removed_last(monkeypatch):
    keep("index", 100_000, kind="indexes", used=500)
    keep("old", 400_000, used=1000)
    keep("recent", 400_000, used=2000)
    monkeypatch.setenv("SACCADE_CACHE_LIMIT", "1000KB")
    keep("new", 400_000)
    assert keys() == ["new", "recent", "index"]


def test_an_entry_with_a_mapped_array_is_not_removed_and_takes_its_room(monkeypatch):
    with disk_cache.building() as built:
        np.save(built / "array.npy", np.zeros(50_000))
        path = disk_cache.keep(built, "decoded", "array", "data")
    array = disk_cache.mapped_array(path / "array.npy")
    monkeypatch.setenv("SACCADE_CACHE_LIMIT", "500KB")
    assert disk_cache.has_room(100_000)
    assert not disk_cache.has_room(100_001)
    keep("new", 200_000)
    assert sorted(keys()) == ["array", "new"]
    del array
    assert disk_cache.has_room(500_000)
    keep("newest", 400_000)
    assert keys() == ["newest"]


def test_a_new_entry_larger_than_the_limit_is_kept(monkeypatch):
    keep("old", used=1000)
    monkeypatch.setenv("SACCADE_CACHE_LIMIT", "1KB")
    keep("new", 400_000)
    assert keys() == ["new"]


def test_an_entry_in_use_is_not_removed(monkeypatch):
    path = keep("old", 400_000, used=1000)
    monkeypatch.setenv("SACCADE_CACHE_LIMIT", "1KB")
    with disk_cache.in_use(path):
        keep("new")
        assert sorted(keys()) == ["new", "old"]
        assert [entry.path.name for entry in disk_cache.clear_cache()] == ["new"]
    assert [entry.path.name for entry in disk_cache.clear_cache()] == ["old"]


def test_entries_are_removed_by_name_and_by_kind():
    keep("1", name="flowers")
    keep("2", name="flowers", kind="scans")
    keep("3", name="birds", kind="scans")
    assert {entry.path.name for entry in disk_cache.clear_cache("flowers")} == {"1", "2"}
    keep("4", name="birds")
    assert [entry.path.name for entry in disk_cache.clear_cache("scans")] == ["3"]
    with pytest.raises(DataError, match="the cache holds nothing called 'cats'") as caught:
        disk_cache.clear_cache("cats")
    assert caught.value.found == "birds"
    assert [entry.path.name for entry in disk_cache.clear_cache()] == ["4"]


def test_the_folder_of_a_killed_process_is_removed(folder):
    code = "import os\nfrom saccade.data.cache import disk_cache\nwith disk_cache.building():\n    os._exit(1)"
    subprocess.run([sys.executable, "-c", code], check=False)
    (abandoned,) = (folder / "building").iterdir()
    os.utime(abandoned, (1000, 1000))
    with disk_cache.building() as built:
        assert list((folder / "building").iterdir()) == [built.parent]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", 20_000_000_000), ("500", 500), ("5MB", 5_000_000), ("1.5 gb", 1_500_000_000), ("2T", 2_000_000_000_000)],
)
def test_the_limit_is_read_from_the_environment(monkeypatch, text, expected):
    monkeypatch.setenv("SACCADE_CACHE_LIMIT", text)
    assert disk_cache.cache_limit() == expected


@pytest.mark.parametrize("text", ["lots", "-1GB", "5 apples", "1e999"])
def test_an_invalid_limit_is_an_error(monkeypatch, text):
    monkeypatch.setenv("SACCADE_CACHE_LIMIT", text)
    with pytest.raises(DataError, match="the size limit of the cache is invalid") as caught:
        disk_cache.cache_limit()
    assert caught.value.found == repr(text)
    assert "SACCADE_CACHE_LIMIT, such as 20GB" in str(caught.value)


def test_a_read_only_cache_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("SACCADE_CACHE", str(write(tmp_path / "file", b"") / "cache"))
    with pytest.raises(DataError, match="the cache can't be written") as caught, disk_cache.building():
        pass
    assert caught.value.remedy == "set SACCADE_CACHE to a folder in which you may write"


WITHOUT_LOCKS = """
import sys
sys.modules["fcntl"] = sys.modules["resource"] = None  # as on Windows
from saccade.data.cache import disk_cache
from saccade.data.decoding import resource_limits
from saccade.data.load import load
resource_limits.limit_memory(1)
print(load("digits"), load("digits"), len(disk_cache.clear_cache()))
"""


def test_data_loads_without_the_modules_that_windows_does_not_have(folder):
    result = subprocess.run([sys.executable, "-c", WITHOUT_LOCKS], capture_output=True, text=True, check=False)
    assert result.stderr == ""
    digits = "<Dataset digits: 10 classes, 1,423 train, 374 test images of 32x32 pixels>"
    assert result.stdout == f"{digits} {digits} 3\n"
    assert list((folder / "building").iterdir()) == []
