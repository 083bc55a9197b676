"""What all tests share: one thread of torch a process, so that workers and tests do not fight for the cores.

And a store on disk of its own for each process of tests; with `HPO_CACHE=off` they run without one. Tests with the mark
`cuda` are skipped without a CUDA device.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from benchmarks.postgresql_server import MISSING, PostgresqlServer, postgresql_server, programs

if TYPE_CHECKING:
    from benchmarks.ray_nodes import Nodes

if os.environ.get("HPO_CACHE", "").lower() != "off":
    os.environ["HPO_CACHE"] = tempfile.mkdtemp(prefix="hpo-store-")
    atexit.register(shutil.rmtree, os.environ["HPO_CACHE"], ignore_errors=True)

# Workers of pytest-xdist have a width of the terminal. Without it, what a command prints is not broken into lines.
os.environ.pop("COLUMNS", None)

# Torch then asks for large pages of memory, so that large networks are built a little faster.
os.environ["THP_MEM_ALLOC_ENABLE"] = "1"

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresqlServer]:
    """A PostgreSQL server. A test that restarts it must leave it running."""
    if programs() is None:
        pytest.skip(MISSING)
    with postgresql_server("-c", "fsync=off") as server:
        yield server


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """A Ray cluster of two nodes, to which this process is connected."""
    from benchmarks.ray_nodes import Nodes, connected

    cluster = Nodes()
    try:
        with connected(cluster):
            yield cluster
    finally:
        cluster.close()


_numbers = itertools.count()


@pytest.fixture
def database(postgresql: PostgresqlServer) -> Iterator[str]:
    """The name of an empty database of the server."""
    name = f"studies{next(_numbers)}"
    postgresql.execute(f"CREATE DATABASE {name}")
    yield name
    postgresql.execute(f"DROP DATABASE {name} WITH (FORCE)")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("cuda") is not None:
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs a CUDA device")
