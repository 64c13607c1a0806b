"""Loads Keras while TensorFlow's notices, which no setting turns off and nobody can act on, stay off the terminal."""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from saccade.machine import library_threads

# The notices that TensorFlow's C++ part writes to file descriptor 2 before its log level is read.
_NOTICES = re.compile(
    rb"All log messages before absl::InitializeLog|oneDNN custom operations are on|optimized to use available CPU"
    rb"|To enable the following instructions|Could not find cuda drivers|Unable to register cu|computation placer"
    rb"|failed call to cuInit|CUDA_ERROR_NO_DEVICE|^fully_quantize: "
)


# What Keras imports if it is there, for parts of it that Saccade has no use for: a third of the time of its import.
_UNUSED = ("pandas", "matplotlib", "sklearn", "IPython")
_own_process = False


def this_process_is_our_own() -> None:
    """Says that nobody else uses Keras in this process, so that it may be loaded without what Saccade does not use."""
    global _own_process  # noqa: PLW0603 - what it says is of the process
    _own_process = True


def load_keras_quietly() -> None:
    """Imports Keras and its backend and runs one operation, so that all start-up notices come now and are held back."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with notices_held_back(), _hidden(_UNUSED if _own_process else ()):
        import keras

        _keep_to_quota(keras.backend.backend())
        keras.ops.zeros(1)
    logging.getLogger("tensorflow").addFilter(_is_no_advice_on_tracing)


def _keep_to_quota(backend: str) -> None:
    """Has TensorFlow start as many threads as a container's quota of processor time allows, where there is one."""
    threads = library_threads()
    if threads is None or backend != "tensorflow":
        return
    import tensorflow

    with suppress(RuntimeError):  # TensorFlow is in use already, in whoever's program this is, and has its threads
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(threads)


@contextmanager
def _hidden(names: tuple[str, ...]) -> Iterator[None]:
    """Lets packages seem not to be installed, those aside that are loaded already."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None makes an import fail
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def _is_no_advice_on_tracing(record: logging.LogRecord) -> bool:
    """TensorFlow takes several trainings in one process for one function that is compiled again and again."""
    return "triggered tf.function retracing" not in record.getMessage()


@contextmanager
def notices_held_back() -> Iterator[None]:
    """Collects what is written to file descriptor 2 and passes on, at the end, all lines but the known notices."""
    try:
        sys.stderr.flush()
        terminal = os.dup(2)
    except (AttributeError, OSError, ValueError):
        # No standard error at all (a windowed program, a closed descriptor): nothing to keep clean.
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
            held.seek(0)
            for line in held:
                if not _NOTICES.search(line):
                    os.write(2, line)
