"""The connection of this process to a Ray cluster. Ray allows one connection for each process."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from hpo.devices import n_cores, visible_gpus
from hpo.errors import MachineError, UserError, shortened
from hpo.runners._ray_address import LOCAL, SHORT_FORMS, check_address
from hpo.runners._ray_autoscaler import starts_nodes
from hpo.runners._ray_flags import FLAGS
from hpo.runners._ray_resources import Node

CANNOT_CONNECT = (ConnectionError, RuntimeError, ValueError, TimeoutError, ImportError)
"""What Ray raises if it cannot connect."""
CLUSTER_GONE = (f"{FLAGS['address']} ADDRESS", f"{FLAGS['address']} {LOCAL}", "--runner processes")
"""Options of `hpo resume` with which a study goes on without its cluster."""
CONNECT_SECONDS = 15.0
"""How long a machine may take to accept a connection."""
AUTOSCALER_SECONDS = 20.0
"""How long the cluster may take to say whether it starts nodes on demand."""
Say = Callable[[str], None]
"""Shows a line to the user."""
_lock = threading.RLock()
_n_users = 0
"""The number of runners in this process that use the connection. The last one closes it."""
_is_ours = False
"""Whether hpo opened the connection. One that the user opened stays open."""


def silent(text: str) -> None:
    """Show nothing."""


def address_of(given: str | None) -> str:
    """Return the address of the cluster if `given` is the option: without one that of $RAY_ADDRESS, or else `local`.

    Ray sets $RAY_ADDRESS in its jobs. Raises a UserError if it has no allowed form.
    """
    if given is not None:
        return given
    from_environment = os.environ.get("RAY_ADDRESS", "").strip()
    if from_environment:
        check_address(from_environment, "$RAY_ADDRESS")
    return from_environment or LOCAL


def is_connected() -> bool:
    """Whether this process is connected to a cluster. Ray is not imported for that."""
    return "ray" in sys.modules and bool(sys.modules["ray"].is_initialized())


def connect(address: str | None, say: Say = silent) -> None:
    """Connect this process to a cluster, or join the connection that it has. Each call needs a `disconnect`.

    Without an address, it is that of `address_of`. Raises a UserError if Ray is not installed, or if there is no
    cluster at the address. `say` tells the user that this process connects to another machine, which may take long.
    """
    global _n_users, _is_ours
    with _lock:
        ray = imported()
        if not ray.is_initialized():
            address = address_of(address)
            if address != LOCAL:
                say(f"connecting to the Ray cluster {address}")
            _open(ray, address)
            _is_ours = True
        _n_users += 1


def disconnect() -> None:
    """Close the connection if this was the last use of it. Ray is stopped if `connect` started it."""
    global _n_users, _is_ours
    with _lock:
        _n_users -= 1
        if _n_users == 0 and _is_ours:
            _is_ours = False
            with _no_warnings():
                imported().shutdown()
            _print_worker_logs(True)


def nodes() -> list[Node]:
    """Return the nodes of the cluster that are alive."""
    return [
        Node(str(node["NodeID"]), str(node["NodeManagerHostname"]), dict(node["Resources"]))
        for node in imported().nodes()
        if node["Alive"]
    ]


def has_autoscaler() -> bool:
    """Whether the cluster starts nodes on demand. A task asks for that, because Ray has no call of its own for it."""
    ray = imported()
    task = ray.remote(starts_nodes).options(num_cpus=0, max_retries=0)
    try:
        return bool(ray.get(task.remote(), timeout=AUTOSCALER_SECONDS))
    except ray.exceptions.RayError:
        return False


def imported() -> ModuleType:
    """Import Ray, without its statistics of usage. Raises a UserError if it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    state = random.getstate()
    try:
        import ray
    except ImportError as error:
        raise UserError(f"the runner ray needs Ray: {error}; install it by: pip install 'hpo[ray]'") from None
    finally:
        random.setstate(state)  # importing Ray draws a number
    return ray  # type: ignore[no-any-return]


def _open(ray: ModuleType, address: str) -> None:
    options: dict[str, Any] = {"logging_level": "ERROR"}
    if address == LOCAL:
        options |= {"num_cpus": n_cores(), "num_gpus": len(visible_gpus()), "include_dashboard": False}
    if "://" not in address:
        options["log_to_driver"] = False
    _print_worker_logs(False)
    logging.getLogger("ray").setLevel(logging.ERROR)
    with _no_warnings(), _kept_state():
        try:
            _check_answers(address)
            _init(ray, address, options)
        except CANNOT_CONNECT as error:
            with contextlib.suppress(Exception):
                ray.shutdown()
            _print_worker_logs(True)
            raise UserError(
                f"{FLAGS['address']} {shortened(address)}: no Ray cluster answers: {_reason(error)}\n"
                f"Write {SHORT_FORMS}. A token needs RAY_AUTH_MODE=token.",
                go_on_with=CLUSTER_GONE,
            ) from None


def _init(ray: ModuleType, address: str, options: dict[str, Any]) -> None:
    """Connect to a cluster. If it refuses, do so again with the token of the user, if there is one.

    `ray start` protects a cluster by this token, but `ray.init` does not send it to an address that is given.
    """
    if address in (LOCAL, "auto") or "RAY_AUTH_MODE" in os.environ:
        ray.init(address=address, **options)
        return
    try:
        with _hidden_standard_error():
            ray.init(address=address, **options)
    except CANNOT_CONNECT:
        from ray._private.authentication import authentication_token_setup as setup

        if not setup.maybe_enable_token_auth_if_token_available(warn_if_disabled=False):
            raise
        with contextlib.suppress(Exception):
            ray.shutdown()
        try:
            ray.init(address=address, **options)
        except CANNOT_CONNECT:
            del os.environ["RAY_AUTH_MODE"]
            raise


def _check_answers(address: str) -> None:
    """Raise a ConnectionError if nothing listens at HOST:PORT. Ray itself may wait for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise ConnectionError(str(error)) from None


@contextlib.contextmanager
def _hidden_standard_error() -> Iterator[None]:
    """Hide what is written to file 2: Ray's C++ code writes a line there for each second in which it is refused."""
    try:
        kept = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(null)
        os.close(kept)


@contextlib.contextmanager
def lost_connection() -> Iterator[None]:
    """In this context, an error of Ray itself becomes a MachineError: the cluster does not work any more."""
    ray = imported()
    try:
        yield
    except (ray.exceptions.RayError, ConnectionError) as error:
        hint = ""
        if "cancelled" in str(error) and os.environ.get("RAY_AUTH_MODE") == "token":
            hint = "; if it was started without a token, set RAY_AUTH_MODE=disabled"
        text = f"the Ray cluster does not work: {_reason(error)}{hint}; no recorded epoch is lost"
        raise MachineError(text, go_on_with=CLUSTER_GONE) from error


def _reason(error: Exception) -> str:
    """The first sentence of an error's text. If its line ends with a colon, the reason is the last line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    first = lines[0].rstrip(";.")
    if not first.endswith(":"):
        return first.partition(". ")[0]
    return f"{first} {lines[-1]}" if len(lines) > 1 else first.rstrip(":")


@contextlib.contextmanager
def _kept_state() -> Iterator[None]:
    """Keep Python's random state and the handler of SIGTERM, both of which Ray changes as it starts."""
    state = random.getstate()
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM) if is_main else None
    try:
        yield
    finally:
        random.setstate(state)
        if handler is not None:
            signal.signal(signal.SIGTERM, handler)


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    """Hide the warnings of Ray's code, about which users can do nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _print_worker_logs(is_wanted: bool) -> None:
    """Let Ray print what it notices of dying workers and nodes, or not. The runner deals with them.

    Ray prints it to standard output, also with `log_to_driver=False`, and has no public setting for that.
    """
    with contextlib.suppress(ImportError):
        from ray._private import worker

        worker._worker_logs_enabled = is_wanted
