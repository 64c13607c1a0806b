"""Program that runs a command line of Saccade and sends itself a signal while features or a head are computed.

    python killable_photo.py WHERE NUMBER SIGNAL TRAIN...

WHERE: "features", the signal comes at the given call for a batch of features; or "head", it comes soon after the given
fit of a logistic regression has begun. Features are kept in the cache after every four images.
"""

import os
import signal
import sys
import threading
from itertools import count

from sklearn.linear_model import LogisticRegression

from saccade.cli.main import main
from saccade.training.transfer_learning import features

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
features._SHARD = 4
if where == "features":
    send_at(features, "resize_to_network", number, 0)
else:
    send_at(LogisticRegression, "fit", number, _SECONDS)
sys.argv = ["saccade", *sys.argv[4:]]
main()
