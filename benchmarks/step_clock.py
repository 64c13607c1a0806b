"""`saccade` with a clock at its training steps, for `waiting.py`.

    python benchmarks/step_clock.py TIMES train DATA ...

Runs the command line after TIMES, and writes the time of the end of each training step into the file TIMES, one a
line, in seconds since the epoch. The modules of the steps are changed when the command itself imports them, so that
the order of imports stays.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

_STEPS = {
    "saccade.training.step": "TrainingStep",
    "saccade.training.transfer_learning.upper_training": "UpperStep",
}


class _Clock(MetaPathFinder):
    """Finder that changes the class of the step in a module."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._waiting = dict(_STEPS)

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> ModuleSpec | None:
        """Return the spec of a module with steps, whose loader changes the class after it has run the module."""
        step = self._waiting.pop(name, None)
        spec = None if step is None else importlib.util.find_spec(name)
        if step is None or spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def run_and_change(module: ModuleType) -> None:
            run(module)
            kind = getattr(module, step)
            original = kind.__call__

            def call(instance: Any, *arguments: Any) -> Any:
                result = original(instance, *arguments)
                with self._file.open("a") as times:
                    times.write(f"{time.time()!r}\n")
                return result

            kind.__call__ = call

        spec.loader.exec_module = run_and_change  # type: ignore[method-assign]
        return spec


def main() -> None:
    """Run the command line."""
    sys.meta_path.insert(0, _Clock(Path(sys.argv[1])))
    sys.argv[:] = ["saccade", *sys.argv[2:]]
    from saccade.cli.main import main as saccade

    saccade()


if __name__ == "__main__":
    main()
