"""Program that runs a command line of Saccade and sends itself a signal while it trains on photographs.

    python killable_photo.py WHERE NUMBER SIGNAL TRAIN...

WHERE: "features" or "outputs", the signal comes at the given call for a batch of them; "head", it comes soon after the
given fit of a logistic regression has begun; "steps", it comes at the given step of a training on kept outputs;
"choice", soon after the given validation has begun; or "images", at the given step of a training on images. Features
and outputs are kept in the cache after every four images.
"""

import os
import signal
import sys
import threading
from itertools import count

from sklearn.linear_model import LogisticRegression

from saccade.cli.main import main
from saccade.training.step import TrainingStep
from saccade.training.transfer_learning import features, kept_outputs, upper_training

_SECONDS = 0.002


def send_at(owner, name, number, seconds):
    """Send the signal some seconds after the beginning of a call of a function, counted from 1."""
    real, calls = getattr(owner, name), count(1)

    def called(*arguments, **options):
        if next(calls) == number:
            threading.Timer(seconds, os.kill, [os.getpid(), sent]).start()
        return real(*arguments, **options)

    setattr(owner, name, called)


where, number, sent = sys.argv[1], int(sys.argv[2]), signal.Signals[sys.argv[3]]
features._SHARD = kept_outputs._SHARD = kept_outputs._PIXELS = 4
calls = {
    "features": (features, "resize_to_network", 0),
    "outputs": (kept_outputs, "resize_to_network", 0),
    "head": (LogisticRegression, "fit", _SECONDS),
    "steps": (upper_training.UpperStep, "__call__", 0),
    "choice": (upper_training.UpperTraining, "probabilities", _SECONDS),
    "images": (TrainingStep, "__call__", 0),
}
owner, name, seconds = calls[where]
send_at(owner, name, number, seconds)
sys.argv = ["saccade", *sys.argv[4:]]
main()
