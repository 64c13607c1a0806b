"""Processors and memory in containers: cgroup version 1 and 2, nested groups, fractions of a core.

Each test writes the files in `proc` and `sys` of a Linux host with 8 cores and 16 GiB.
"""

import pytest
from tests.data.images import write

from saccade.machine import library_threads, memory_bytes, usable_cores

GIB = 1 << 30
V2_MOUNT = "30 20 0:26 {root} /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1_CPU_MOUNT = "31 20 0:27 {root} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct"
V1_MEMORY_MOUNT = "32 20 0:28 {root} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"


@pytest.fixture
def system(tmp_path):
    """Function that writes the files of a host: processors, groups of this process, mounts, limits by path."""

    def make(groups=(), mounts=(), limits=None, allowed="0-7"):
        write(tmp_path / "proc/meminfo", f"MemTotal:       {16 * GIB // 1024} kB\nMemFree: 1 kB\n".encode())
        status = f"Name:\tpython\nCpus_allowed:\tff\nCpus_allowed_list:\t{allowed}\n"
        write(tmp_path / "proc/self/status", status.encode())
        write(tmp_path / "proc/self/cgroup", "".join(f"{group}\n" for group in groups).encode())
        everywhere = ["20 1 8:1 / / rw - ext4 /dev/sda1 rw", *mounts, "33 20 0:29 / /proc rw - proc proc rw"]
        write(tmp_path / "proc/self/mountinfo", "".join(f"{mount}\n" for mount in everywhere).encode())
        for path, text in (limits or {}).items():
            write(tmp_path / "sys/fs/cgroup" / path, f"{text}\n".encode())
        return tmp_path

    return make


def test_without_groups_the_numbers_are_those_of_the_host(system):
    root = system()
    assert (usable_cores(root), memory_bytes(root), library_threads(root)) == (8, 16 * GIB, None)


@pytest.mark.parametrize(("allowed", "cores"), [("3", 1), ("0-3", 4), ("0-1,4,6-7", 5)])
def test_affinity_limits_the_cores(system, allowed, cores):
    root = system(allowed=allowed)
    assert (usable_cores(root), library_threads(root)) == (cores, None)


@pytest.mark.parametrize(
    ("text", "cores", "threads"), [("3", 3, 3), ("12", 12, 12), ("0", 8, None), ("", 8, None), ("two", 8, None)]
)
def test_saccade_threads_replaces_the_number_of_cores(system, monkeypatch, text, cores, threads):
    monkeypatch.setenv("SACCADE_THREADS", text)
    root = system()
    assert (usable_cores(root), library_threads(root)) == (cores, threads)


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("200000 100000", 2),
        ("150000 100000", 2),  # 1.5 cores: rounded up
        ("50000 100000", 1),
        ("1000 100000", 1),
        ("25000 10000", 3),
        ("1600000 100000", 8),  # more than the host has
        ("max 100000", 8),
        ("", 8),
        ("nonsense", 8),
    ],
)
def test_a_container_of_version_2(system, quota, cores):
    root = system(["0::/"], [V2_MOUNT.format(root="/")], {"cpu.max": quota, "memory.max": str(2 * GIB)})
    assert (usable_cores(root), memory_bytes(root)) == (cores, 2 * GIB)
    assert library_threads(root) == (None if cores == 8 else cores)


def test_the_tightest_limit_of_nested_groups_of_version_2_counts(system):
    limits = {
        "user.slice/cpu.max": "300000 100000",
        "user.slice/memory.max": "max",
        "user.slice/job.scope/cpu.max": "max 100000",
        "user.slice/job.scope/memory.max": str(3 * GIB),
        "user.slice/job.scope/worker/cpu.max": "600000 100000",
        "user.slice/job.scope/worker/memory.max": str(4 * GIB),
        "other.slice/cpu.max": "100000 100000",
        "other.slice/memory.max": str(GIB),
    }
    root = system(["0::/user.slice/job.scope/worker"], [V2_MOUNT.format(root="/")], limits)
    assert (usable_cores(root), memory_bytes(root)) == (3, 3 * GIB)


def test_a_container_with_the_group_path_of_the_host(system):
    limits = {"cpu.max": "200000 100000", "memory.max": str(GIB), "inner/memory.max": str(GIB // 2)}
    root = system(["0::/docker/4f2a/inner"], [V2_MOUNT.format(root="/docker/4f2a")], limits)
    assert (usable_cores(root), memory_bytes(root)) == (2, GIB // 2)


def test_a_container_whose_group_lies_outside_the_mount(system):
    root = system(["0::/../other"], [V2_MOUNT.format(root="/")], {"cpu.max": "200000 100000"})
    assert usable_cores(root) == 2


@pytest.mark.parametrize(
    ("quota", "period", "cores"), [("250000", "100000", 3), ("5000", "100000", 1), ("-1", "100000", 8)]
)
@pytest.mark.parametrize("path", ["/", "/docker/4f2a"])
def test_a_container_of_version_1(system, quota, period, cores, path):
    root = system(
        [f"4:memory:{path}", f"3:cpu,cpuacct:{path}", "0::/"],
        [V1_CPU_MOUNT.format(root=path), V1_MEMORY_MOUNT.format(root=path)],
        {
            "cpu,cpuacct/cpu.cfs_quota_us": quota,
            "cpu,cpuacct/cpu.cfs_period_us": period,
            "memory/memory.limit_in_bytes": str(GIB // 2),
        },
    )
    assert (usable_cores(root), memory_bytes(root)) == (cores, GIB // 2)


def test_the_tightest_limit_of_nested_groups_of_version_1_counts(system):
    limits = {
        "cpu,cpuacct/cpu.cfs_quota_us": "-1",
        "cpu,cpuacct/cpu.cfs_period_us": "100000",
        "cpu,cpuacct/batch/cpu.cfs_quota_us": "400000",
        "cpu,cpuacct/batch/cpu.cfs_period_us": "200000",
        "cpu,cpuacct/batch/job/cpu.cfs_quota_us": "-1",
        "cpu,cpuacct/batch/job/cpu.cfs_period_us": "100000",
        "memory/memory.limit_in_bytes": "9223372036854771712",  # no limit, in version 1
        "memory/batch/memory.limit_in_bytes": str(GIB),
        "memory/batch/job/memory.limit_in_bytes": "9223372036854771712",
    }
    mounts = [V1_CPU_MOUNT.format(root="/"), V1_MEMORY_MOUNT.format(root="/"), V2_MOUNT.format(root="/")]
    root = system(["4:memory:/batch/job", "3:cpu,cpuacct:/batch/job", "0::/"], mounts, limits)
    assert (usable_cores(root), memory_bytes(root)) == (2, GIB)


def test_this_machine_has_processors_and_memory():
    assert usable_cores() >= 1
    assert memory_bytes() > 100_000_000
