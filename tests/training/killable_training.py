"""Program that starts or resumes a training and kills itself or limits its own writes.

    python killable_training.py DATA OUT RECIPE EPOCHS kill:SEED:NUMBER|limit:SEED:NUMBER|-

kill: the process sends itself SIGKILL. For the numbers 0 to 7 the kill comes at a random time soon after the second
checkpoint, for 8 and 9 at one of the points at which a file is saved. limit: soon after the second checkpoint, file
sizes are limited (numbers 0 to 5), or the folder of the checkpoints (6 to 8) or of the run (9) becomes read-only. "-"
lets the training end.
"""

import os
import random
import resource
import signal
import sys
import threading
from pathlib import Path

import saccade
from saccade.keras_loading import this_process_is_our_own
from saccade.runs.checkpoints import Checkpoints
from saccade.runs.run import Run
from saccade.training import finalize

# Point of the kill: owner and name of a function, before or after its call, and the number of the call.
POINTS = {
    "a checkpoint's folder is made": (Checkpoints, "_fill", "before", 3),
    "a checkpoint's files are written": (Checkpoints, "_fill", "after", 3),
    "a checkpoint has its name": (Checkpoints, "_place", "after", 3),
    "an older checkpoint is to be removed": (Checkpoints, "_remove", "before", 2),
    "an older checkpoint is removed": (Checkpoints, "_remove", "after", 2),
    "an epoch is to be logged": (Run, "write_history", "before", 2),
    "an epoch is logged": (Run, "write_history", "after", 2),
    "the weights are to be saved": (Run, "write_weights", "before", 1),
    "the weights are saved": (Run, "write_weights", "after", 1),
    "the history is to be plotted": (finalize, "draw_history", "before", 1),
    "the history is plotted": (finalize, "draw_history", "after", 1),
}
LAST_POINTS = 4  # the number of points at the end of a training, for the last of ten kills
LONGEST_WAIT = 0.25


def main():
    this_process_is_our_own()
    data, out, recipe, epochs, when = sys.argv[1:]
    if when != "-":
        end, *numbers = when.split(":")
        seed, number = (int(part) for part in numbers)
        draw = random.Random(f"{seed} {number}")
        if end == "limit":
            after_checkpoints(2 + draw.randrange(6), lambda: limit(Path(out), number, draw))
        elif number < 8:
            after_checkpoints(2, lambda: die_after(draw.uniform(0, LONGEST_WAIT)))
        else:
            first, last = list(POINTS)[:-LAST_POINTS], list(POINTS)[-LAST_POINTS:]
            names = first if number == 8 else last
            die_at(names[seed % len(names)])
    if (Path(out) / "recipe.json").exists():
        saccade.resume(out, progress=False)
    else:
        settings = {"plain_epochs": 0, "augmented_epochs": int(epochs), "batch_size": 12, "checkpoint_seconds": 0}
        saccade.train(data, recipe=recipe, out=out, settings=settings, progress=False)


def after_checkpoints(count, act):
    real, written = Checkpoints.write, []

    def write(self, checkpoint):
        real(self, checkpoint)
        written.append(checkpoint)
        if len(written) == count:
            act()

    setattr(Checkpoints, "write", write)  # noqa: B010 - mypy minds the other way


def die_after(seconds):
    threading.Timer(seconds, die, ["a random moment"]).start()


def limit(run, number, draw):
    checkpoints = run / "checkpoints"
    if number < 6:
        newest = max(checkpoints.iterdir())
        # Below the size of the largest file of a checkpoint, so that different files reach the limit.
        largest = draw.randrange(max(file.stat().st_size for file in newest.iterdir()))
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
        sys.stderr.write(f"no file of more than {largest} bytes\n")
    else:
        folder = run if number == 9 else checkpoints
        folder.chmod(0o555)
        sys.stderr.write(f"{folder.name} is read-only\n")


def die_at(name):
    owner, function, when, times = POINTS[name]
    real, calls = getattr(owner, function), []

    def called(*arguments, **options):
        calls.append(name)
        if when == "before" and len(calls) == times:
            die(name)
        result = real(*arguments, **options)
        if when == "after" and len(calls) == times:
            die(name)
        return result

    setattr(owner, function, called)


def die(where):
    sys.stderr.write(f"{where}\n")
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGKILL)


main()
