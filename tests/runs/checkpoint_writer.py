"""Kill, limit or damage the writing of checkpoints in child processes; print counts as JSON. Loads no TensorFlow.

    python checkpoint_writer.py kill|limit|damage FOLDER COUNT SEED

kill: a child writes checkpoints until it is killed at a random moment; then the latest checkpoint must be intact, and
at least as new as the last checkpoint that the child reported. limit: a random limit of the file size, or a read-only
folder: the child must raise a plain error, and earlier checkpoints must be intact. damage: a file of the newest of two
checkpoints is changed, cut, removed or exchanged: the damage must be detected, and the older checkpoint returned;
before each damage the newest checkpoint must be accepted.
"""

import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np

from saccade.errors import RunError
from saccade.runs.checkpoints import Checkpoint, Checkpoints
from saccade.runs.training_state import TrainingState

NOBODY = 65534


def checkpoint(step):
    """Return a checkpoint whose numbers all equal its step, so that a mixture of two is detected."""
    arrays = {f"layer{i}/kernel": np.full((40 + i, 50), step, np.float32) for i in range(3)}
    return Checkpoint(TrainingState(step=step), {"network": arrays, "optimizer": {"000": np.full(7, step, np.int64)}})


def step_of(found):
    """Return the step of a checkpoint, after a check that all its numbers equal the step."""
    step = found.state.step
    for arrays in found.arrays.values():
        for value in arrays.values():
            assert (value == step).all(), "a mixture of checkpoints"
    return step


def in_child(work):
    """Run `work` in a child process; return the id of the process."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = work()
        finally:
            os._exit(code)
    return child


def kill(store, count, draw):
    for round_ in range(count):
        store.clean()
        latest = store.latest()
        assert not latest.damaged, latest.damaged
        begun = 0 if latest.checkpoint is None else step_of(latest.checkpoint)
        read, write = os.pipe()

        def work(begun=begun, write=write):
            for step in range(begun + 1, begun + 1000):
                store.write(checkpoint(step))
                os.write(write, step.to_bytes(8, "little"))
            return 0

        child = in_child(work)
        os.close(write)
        # The first kill may come before the first checkpoint; half of the later kills come during the first write.
        time.sleep(draw.uniform(0, 0.004 if round_ % 2 else 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        reported = begun
        while len(number := os.read(read, 8)) == 8:
            reported = int.from_bytes(number, "little")
        os.close(read)
        found = Checkpoints(store.folder, store.run).latest()
        if reported:
            assert found.checkpoint is not None, "no good checkpoint"
            assert not found.damaged, found.damaged
            assert step_of(found.checkpoint) in (reported, reported + 1), (step_of(found.checkpoint), reported)
    return {"kills": count}


def limit(store, count, draw):
    store.folder.parent.chmod(0o755)  # another user, too, must come as far as the folder that is read-only
    store.write(checkpoint(1))
    failed = 0
    for round_ in range(count):
        before = step_of(store.latest().checkpoint)
        largest = draw.randrange(0, 40_000)
        read_only = round_ % 2 == 1

        def work(before=before, largest=largest, read_only=read_only):
            if read_only and os.geteuid() == 0:
                os.setuid(NOBODY)  # root may write everywhere
            if not read_only:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
            try:
                store.write(checkpoint(before + 1))
            except RunError as error:
                return 3 if "--resume" in str(error) else 4
            return 0

        if read_only:
            store.folder.chmod(0o555)
        _, status = os.waitpid(in_child(work), 0)
        store.folder.chmod(0o755)
        code = os.waitstatus_to_exitcode(status)
        assert code in (0, 3), code
        failed += code == 3
        found = Checkpoints(store.folder, store.run).latest()
        assert not found.damaged, found.damaged
        assert step_of(found.checkpoint) == before + (code == 0)
        assert not list(store.folder.glob("tmp-*"))
    return {"limits": count, "unreadable": failed}


def damage(store, count, draw):
    ways = (flip, cut, remove, exchange, add, empty)
    accepted = 0
    for round_ in range(count):
        shutil.rmtree(store.folder, ignore_errors=True)
        fresh = Checkpoints(store.folder, store.run)
        fresh.write(checkpoint(1))
        fresh.write(checkpoint(2))
        found = Checkpoints(store.folder, store.run).latest()
        assert not found.damaged, found.damaged
        assert step_of(found.checkpoint) == 2
        accepted += 1
        newest = store.folder / "step-00000002"
        way = ways[round_ % len(ways)]
        reported = way(newest, draw)
        found = Checkpoints(store.folder, store.run).latest()
        assert [damaged.path for damaged in found.damaged] == [newest], (way.__name__, reported)
        assert found.damaged[0].reason
        assert step_of(found.checkpoint) == 1
        if round_ % 50 == 0:  # a new checkpoint replaces the damaged one
            Checkpoints(store.folder, store.run).write(checkpoint(2))
            assert step_of(Checkpoints(store.folder, store.run).latest().checkpoint) == 2
    return {"damaged": count, "detected": count, "intact": accepted, "accepted": accepted}


def any_file(newest, draw):
    return draw.choice(sorted(newest.iterdir()))


def flip(newest, draw):
    path = any_file(newest, draw)
    content = bytearray(path.read_bytes())
    place, bit = draw.randrange(len(content)), draw.randrange(8)
    content[place] ^= 1 << bit
    path.write_bytes(content)
    return f"{path.name}: bit {bit} of byte {place}"


def cut(newest, draw):
    path = any_file(newest, draw)
    content = path.read_bytes()
    path.write_bytes(content[: draw.randrange(len(content))])
    return path.name


def remove(newest, draw):
    path = any_file(newest, draw)
    path.unlink()
    return path.name


def exchange(newest, draw):
    """Replace a file of the newer checkpoint by the file of the older one, which differs."""
    path = any_file(newest, draw)
    shutil.copyfile(newest.with_name("step-00000001") / path.name, path)
    return path.name


def add(newest, draw):
    (newest / "more.safetensors").write_bytes(b"")
    return "more"


def empty(newest, draw):
    """Fill a file with zeros, as a disk without a journal does after a power cut."""
    path = any_file(newest, draw)
    path.write_bytes(bytes(path.stat().st_size))
    return path.name


def main():
    what, folder, count, seed = sys.argv[1:]
    store = Checkpoints(Path(folder), "a run")
    result = {"kill": kill, "limit": limit, "damage": damage}[what](store, int(count), random.Random(seed))
    assert "tensorflow" not in sys.modules
    sys.stdout.write(json.dumps(result))


main()
