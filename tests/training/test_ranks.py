"""The start of several ranks, by real processes."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from hpo.training.builder import Job
from hpo.training.out_of_memory import EXIT_STATUSES
from hpo.training.ranks import Ranks
from tests import toy
from trainables.training import data_parallel


class Counter:
    """The number of the kernel's kills, which a test can raise."""

    def __init__(self) -> None:
        self.kills = 0

    def __call__(self) -> int:
        return self.kills


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The exit statuses with which rank 0 would have ended this process."""
    statuses: list[int] = []
    monkeypatch.setattr("hpo.training.ranks.os._exit", statuses.append)
    return statuses


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
def ranks(tmp_path: Path, ended: list[int], counter: Counter) -> Iterator[Ranks]:
    """Rank 0 of two."""
    ranks = Ranks(Job(toy.space(), 0, tmp_path), tmp_path, "cpu", 2, counter)
    try:
        yield ranks
    finally:
        ranks.close()


def kill_other_rank(ended: list[int]) -> int:
    """Kill rank 1, and return the exit status of the worker."""
    (other,) = multiprocessing.active_children()
    other.kill()
    deadline = time.monotonic() + 60
    while not ended:
        assert time.monotonic() < deadline, "the worker did not end"
        time.sleep(0.01)
    return ended[0]


@pytest.mark.slow
def test_a_kill_of_another_process_before_a_command_makes_no_later_kill_a_shortage_of_memory(
    ranks: Ranks, counter: Counter, ended: list[int]
) -> None:
    counter.kills += 1
    ranks.send("build", {"x": 0.5}, 0)
    assert kill_other_rank(ended) == 1


@pytest.mark.slow
def test_a_rank_that_the_kernel_kills_after_a_command_ran_out_of_memory(
    ranks: Ranks, counter: Counter, ended: list[int]
) -> None:
    ranks.send("build", {"x": 0.5}, 0)
    counter.kills += 1
    assert kill_other_rank(ended) == EXIT_STATUSES["HostOutOfMemory"]


@pytest.mark.slow
def test_an_error_of_rank_0_at_its_start_is_raised_and_no_other_rank_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: list[int]
) -> None:
    def refuse(*arguments: object, **settings: object) -> None:
        (other,) = multiprocessing.active_children()
        other.kill()  # the others cannot join either
        other.join()
        raise RuntimeError("this device does not exist")

    monkeypatch.setattr(torch.distributed, "init_process_group", refuse)
    with pytest.raises(RuntimeError, match="this device does not exist"):
        Ranks(Job(toy.space(), 0, tmp_path), tmp_path, "cpu", 2)
    assert multiprocessing.active_children() == []
    assert not data_parallel.is_on()
    assert ended == []
