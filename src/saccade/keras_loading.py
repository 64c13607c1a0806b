"""Loading of Keras without the start-up notices of TensorFlow, which no setting turns off."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from saccade.errors import KerasError
from saccade.machine import library_threads
from saccade.stderr_filter import filtered_stderr
from saccade.tensorflow_kernels import prefer_onednn

# Notices that the C++ code of TensorFlow writes to file descriptor 2 before it reads its log level.
_NOTICES = re.compile(
    rb"All log messages before absl::InitializeLog|oneDNN custom operations are on|optimized to use available CPU"
    rb"|To enable the following instructions|Could not find cuda drivers|Unable to register cu|computation placer"
    rb"|failed call to cuInit|CUDA_ERROR_NO_DEVICE|^fully_quantize: |oneDNN supports DT_BFLOAT16 only"
)

# Packages that Keras imports where they are installed and that Saccade does not need: a third of the import time.
_UNUSED = ("pandas", "matplotlib", "sklearn", "IPython")
_own_process = False

# Default settings of Keras.
_BACKEND, _FLOATX, _DATA_FORMAT, _EPSILON = "tensorflow", "float32", "channels_last", 1e-7


def this_process_is_our_own() -> None:
    """Declare that no other code uses Keras in this process: Keras may then be loaded without unused packages."""
    global _own_process  # noqa: PLW0603 - the state of the process
    _own_process = True


def load_keras_quietly() -> None:
    """Import Keras and its backend, and run one operation, with all start-up notices suppressed.

    In a process of Saccade's own, Keras is configured as Saccade needs it, regardless of the user's `keras.json` and
    environment. In a user's program the configuration of Keras stays, see `require_keras_settings`.

    Raises:
        KerasError: Keras can't be loaded.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    prefer_onednn()
    if _own_process:
        os.environ["KERAS_BACKEND"] = _BACKEND  # child processes inherit it
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
    """Return the error for a missing package, or for settings that Keras rejects."""
    settings = f"Keras's configuration file {_configuration_file()}"
    if isinstance(error, ImportError):
        remedy = f"install the package; if KERAS_BACKEND or {settings} asks for it, set KERAS_BACKEND={_BACKEND}"
    else:
        remedy = (
            f"correct or remove {settings}, and unset environment variables of Keras, whose names begin with KERAS_"
        )
    return KerasError("Keras can't be loaded", found=" ".join(str(error).split()), remedy=remedy)


def require_keras_settings() -> None:
    """Check that the user's program has configured Keras as Saccade needs it to build or load a model.

    The settings of the program are not changed, because they also apply to the models that the program builds itself.

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
    """Return name, value and required value of each setting of Keras whose value is not the required one."""
    settings = [("floatx", config.floatx(), _FLOATX), ("image_data_format", config.image_data_format(), _DATA_FORMAT)]
    # Keras derives its dtype policy from floatx at the first use, and keeps the policy from then on.
    if config.floatx() == _FLOATX:
        settings.append(("dtype_policy", config.dtype_policy().name, _FLOATX))
    return [setting for setting in settings if setting[1] != setting[2]]


def _configuration_file() -> Path:
    """Return the path of the configuration file of Keras."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "keras.json"


def _keep_to_quota(backend: str) -> None:
    """Limit the threads of TensorFlow to the processor quota of the container, where there is a quota."""
    threads = library_threads()
    if threads is None or backend != "tensorflow":
        return
    import tensorflow

    with suppress(RuntimeError):  # the user's program has used TensorFlow already, so its threads are started
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(threads)


@contextmanager
def _hidden(names: tuple[str, ...]) -> Iterator[None]:
    """Make imports of packages fail, except of packages that are loaded already."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None makes an import fail
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


def _is_no_advice_on_tracing(record: logging.LogRecord) -> bool:
    """Return whether a log record is no advice on retracing, which TensorFlow gives after several trainings."""
    return "triggered tf.function retracing" not in record.getMessage()


def notices_held_back() -> AbstractContextManager[None]:
    """Hold back the output to file descriptor 2, and write its lines at the end without the notices of TensorFlow."""
    return filtered_stderr(_NOTICES)
