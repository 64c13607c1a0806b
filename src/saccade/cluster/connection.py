"""Connection to a Ray cluster, or a Ray on this machine that starts and ends with the command.

Nothing of a local Ray listens beyond the loopback interface, no dashboard is started, and nothing is sent to Ray's
makers. Credentials are never sent to the nodes: each node has its own.
"""

from __future__ import annotations

import importlib
import logging
import os
import re
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from pathlib import Path
from typing import Any

from saccade.errors import ClusterError
from saccade.machine import usable_cores
from saccade.sanitize import printable, shortened
from saccade.stderr_filter import filtered_stderr

LOCAL = "local"
"""Address that stands for a Ray on this machine, which the command starts and ends."""

_INSTALL = "pip install 'saccade[ray]'"
_START = "start a node of the cluster on this machine: ray start --address HOST:PORT --disable-usage-stats"
_ADDRESS = "HOST:PORT of the head node, such as 10.0.0.1:6379"
_OBJECT_STORE_BYTES = 200_000_000
_LOOPBACK = "127.0.0.1"  # the only address with which all processes of Ray listen on the loopback interface alone
_SECONDS_TO_CONNECT = 5.0
_LONGEST_FOLDER = 24  # characters; Ray puts up to 80 behind it, and the path of a socket may have 107

# Ray's libraries write on file descriptor 2, which no setting of Ray prevents.
_ALL_LINES = re.compile(b"")

_TOKEN_VARIABLES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")

# Ray reads these when it is imported.
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_TQDM_PATCH_PRINT": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}


def import_ray() -> Any:
    """Import Ray, without usage statistics.

    Raises:
        ClusterError: Ray is not installed.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import ray
    except ImportError:
        raise ClusterError("--ray needs another package, which is not installed", remedy=_INSTALL) from None
    return ray


def require_response(address: str) -> Any:
    """Require that Ray is installed and that a cluster responds, before any slow work; return the module `ray`.

    Args:
        address: as for `connected`.

    Raises:
        ClusterError: Ray is not installed, or the address is none, or nothing listens there.
    """
    if address.startswith("ray://"):
        raise ClusterError("Ray's client protocol is not supported", expected=_ADDRESS, found=printable(address))
    if address not in (LOCAL, "auto"):
        _require_port(address)
    ray = import_ray()
    if address not in (LOCAL, "auto"):
        try:
            _require_listener(address)
        except _StartError as error:
            raise _unreachable(address, str(error)) from None
    return ray


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to a Ray cluster, yield the module `ray`, and disconnect at the end.

    Args:
        address: HOST:PORT of a running cluster; "auto" for the one that runs on this machine; "local" for a Ray that
            is started on this machine, on the loopback interface only, and ended at the end.

    Raises:
        ClusterError: Ray is not installed, or the cluster can't be reached or has another version.
    """
    ray = require_response(address)
    # A thread of Ray prints messages on failed tasks to standard output, where a command may print JSON.
    with (
        Path(os.devnull).open("w") as dropped,
        redirect_stdout(dropped),
        _keeping_loopback(address),
        _own_token() if address == LOCAL else nullcontext(),
        _local(ray) if address == LOCAL else _remote(ray, address),
        _ended_by_sigterm(),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", module="ray")
        yield ray


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end this process as Ctrl-C does; the handler of Ray's C++ code prints addresses, and aborts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


@contextmanager
def _own_token() -> Iterator[None]:
    """Protect a Ray on this machine by a token of its own, unless the environment has settings for tokens.

    Ray would write a token into the home directory, and ask for it when a cluster is started there later.
    """
    raylet: Any = importlib.import_module("ray._raylet")  # its types name less than it has

    if any(name in os.environ for name in _TOKEN_VARIABLES):
        yield
        return
    os.environ.update(zip(_TOKEN_VARIABLES, ("token", secrets.token_hex(32)), strict=True))
    try:
        _read_token_again(raylet)
        yield
    finally:
        for name in _TOKEN_VARIABLES:
            del os.environ[name]
        _read_token_again(raylet)


def _read_token_again(raylet: Any) -> None:
    raylet.Config.initialize("")
    raylet.AuthenticationTokenLoader.instance().reset_cache()


@contextmanager
def _keeping_loopback(address: str) -> Iterator[None]:
    """Keep the address 127.0.0.1, which Ray replaces by one that other machines reach, and then listens everywhere."""
    if address != LOCAL and not address.startswith(f"{_LOOPBACK}:"):
        yield
        return
    from ray._private import services

    replaced = services.resolve_ip_for_localhost
    services.resolve_ip_for_localhost = lambda host: host
    try:
        yield
    finally:
        services.resolve_ip_for_localhost = replaced


@contextmanager
def _local(ray: Any) -> Iterator[None]:
    folder = _short_temporary_folder()
    try:
        _init(
            ray,
            num_cpus=usable_cores(),
            include_dashboard=False,
            object_store_memory=_OBJECT_STORE_BYTES,
            _node_ip_address=_LOOPBACK,
            _temp_dir=str(folder),
        )
        yield
    except _StartError as error:
        raise ClusterError(
            "Ray could not be started on this machine",
            found=str(error),
            remedy="free processors and memory, and repeat the command",
        ) from None
    finally:
        with suppress(Exception):  # what ends anyway
            ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _remote(ray: Any, address: str) -> Iterator[None]:
    try:
        _init(ray, address=address)
        yield
    except _StartError as error:
        text = str(error)
        if "ersion mismatch" in text:
            raise ClusterError(
                f"the Ray cluster at {printable(address)} runs other versions of Ray or Python",
                found=text,
                remedy="install the same versions of Ray and Python on all machines",
            ) from None
        if "uthenticat" in text:
            raise ClusterError(
                f"the Ray cluster at {printable(address)} did not accept this machine",
                found=text,
                remedy="set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN to the token of the cluster",
            ) from None
        raise _unreachable(
            address, text, f"{_START}; a cluster with a token needs RAY_AUTH_MODE=token and its own RAY_AUTH_TOKEN here"
        ) from None
    finally:
        with suppress(Exception):
            ray.shutdown()


def _unreachable(address: str, found: str, remedy: str = _START) -> ClusterError:
    return ClusterError(
        f"the Ray cluster at {printable(address)} can't be reached",
        expected="HOST:PORT of its head node, and a node of it on this machine",
        found=found,
        remedy=remedy,
    )


class _StartError(Exception):
    """Ray could not be started or reached; the message is one line."""


def _require_port(address: str) -> None:
    """Require an address of a host and a port.

    Raises:
        ClusterError: the address has no host, or no port from 1 to 65535.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ClusterError(
            f"'{printable(address)}' is no address of a Ray cluster",
            expected=_ADDRESS,
            remedy="write --ray=HOST:PORT; without an address, an option or the end of the line must follow --ray",
        )


def _require_listener(address: str) -> None:
    """Require that something listens at an address: Ray itself would wait for minutes.

    Raises:
        _StartError: nothing listens there.
    """
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS_TO_CONNECT).close()
    except OSError as error:
        raise _StartError(f"nothing listens there: {error}") from None


def _init(ray: Any, **arguments: Any) -> None:
    """Start or join a Ray without its messages.

    Raises:
        _StartError: whatever Ray raised.
    """
    with warnings.catch_warnings(), filtered_stderr(_ALL_LINES):
        warnings.simplefilter("ignore")
        try:
            ray.init(log_to_driver=False, logging_level=logging.CRITICAL, configure_logging=True, **arguments)
        except Exception as error:  # Ray raises RuntimeError, ConnectionError, ValueError and Exception
            lines = [line.strip() for line in str(error).splitlines() if line.strip()]
            raise _StartError(shortened(printable(" ".join(lines)), 300) or type(error).__name__) from None


def reason_of_ray(error: Exception) -> str:
    """Return the line of an error of Ray that names the cause: the last one of a traceback, the first one otherwise."""
    from ray.exceptions import RayTaskError

    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return shortened(printable(lines[-1 if isinstance(error, RayTaskError) else 0]), 300)


def _short_temporary_folder() -> Path:
    """Make a folder for Ray's sockets and logs, whose path is short enough for the path of a socket."""
    parent = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="ray-", dir=parent if len(parent) <= _LONGEST_FOLDER else "/tmp"))  # noqa: S108
