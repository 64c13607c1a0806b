"""Loads Keras while TensorFlow's notices, which no setting turns off and nobody can act on, stay off the terminal."""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from saccade.errors import KerasError
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

# As Keras has them where nobody changed anything.
_BACKEND, _FLOATX, _DATA_FORMAT, _EPSILON = "tensorflow", "float32", "channels_last", 1e-7


def this_process_is_our_own() -> None:
    """Says that nobody else uses Keras in this process, so that it may be loaded without what Saccade does not use."""
    global _own_process  # noqa: PLW0603 - what it says is of the process
    _own_process = True


def load_keras_quietly() -> None:
    """Imports Keras and its backend and runs one operation, so that all start-up notices come now and are held back.

    In a process of Saccade's own, Keras is set up as Saccade needs it, whatever the user's `keras.json` and environment
    say. In a user's program Keras is left as it is, see `require_keras_settings`.

    Raises:
        KerasError: Keras can't be loaded.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if _own_process:
        os.environ["KERAS_BACKEND"] = _BACKEND  # what this process starts inherits it
    with notices_held_back(), _hidden(_UNUSED if _own_process else ()):
        try:
            import keras
        except (ImportError, ValueError, TypeError, AttributeError) as error:
            raise _not_loaded(error) from None
        if _own_process:
            keras.config.set_floatx(_FLOATX)
            keras.config.set_image_data_format(_DATA_FORMAT)
            keras.config.set_epsilon(_EPSILON)
        _keep_to_quota(keras.backend.backend())
        keras.ops.zeros(1)
    logging.getLogger("tensorflow").addFilter(_is_no_advice_on_tracing)


def _not_loaded(error: Exception) -> KerasError:
    """Of a package that is not there, or of settings that Keras does not take."""
    settings = f"Keras's configuration file {_configuration_file()}"
    if isinstance(error, ImportError):
        remedy = f"install the package; if KERAS_BACKEND or {settings} asks for it, set KERAS_BACKEND={_BACKEND}"
    else:
        remedy = (
            f"correct or remove {settings}, and unset environment variables of Keras, whose names begin with KERAS_"
        )
    return KerasError("Keras can't be loaded", found=" ".join(str(error).split()), remedy=remedy)


def require_keras_settings() -> None:
    """Refuses to build or load a model where the user's program has set up Keras in another way than Saccade needs.

    His settings are not changed: what he builds afterward would be of other numbers than he asked for.

    Raises:
        KerasError: Keras runs on another backend than TensorFlow, or its floatx, dtype policy or image data format is
            another than float32, float32 and channels last.
    """
    import keras

    if keras.backend.backend() != _BACKEND:
        raise KerasError(
            "Saccade needs Keras to run on TensorFlow",
            found=f"Keras on {keras.backend.backend()}, by KERAS_BACKEND or {_configuration_file()}",
            remedy=f"set the environment variable KERAS_BACKEND={_BACKEND} before Keras is imported",
        )
    changed = _changed_settings(keras.config)
    if changed:
        raise KerasError(
            "Saccade needs Keras to compute in float32 with channels last",
            found=f"{', '.join(f'{name} = {value}' for name, value, _ in changed)}, by keras.config or "
            f"{_configuration_file()}",
            remedy="before the call: "
            + "; ".join(f'keras.config.set_{name}("{needed}")' for name, _, needed in changed),
        )


def _changed_settings(config: Any) -> list[tuple[str, str, str]]:
    """Name, value and the value that is needed, of each setting of Keras that has another one."""
    settings = [("floatx", config.floatx(), _FLOATX), ("image_data_format", config.image_data_format(), _DATA_FORMAT)]
    # Keras makes its policy of floatx when it is first asked for, and keeps it from then on.
    if config.floatx() == _FLOATX:
        settings.append(("dtype_policy", config.dtype_policy().name, _FLOATX))
    return [setting for setting in settings if setting[1] != setting[2]]


def _configuration_file() -> Path:
    """Where Keras looks for its settings."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "keras.json"


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
