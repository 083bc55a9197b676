"""The start of several ranks, by real processes."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
import torch

from hpo.training.builder import Job
from hpo.training.ranks import Ranks
from tests import toy
from trainables.training import data_parallel


@pytest.mark.slow
def test_an_error_of_rank_0_at_its_start_is_raised_and_no_other_rank_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **settings: object) -> None:
        (other,) = multiprocessing.active_children()
        other.kill()  # the others cannot join either
        other.join()
        raise RuntimeError("this device does not exist")

    ended: list[int] = []
    monkeypatch.setattr(torch.distributed, "init_process_group", refuse)
    monkeypatch.setattr("hpo.training.ranks.os._exit", ended.append)
    with pytest.raises(RuntimeError, match="this device does not exist"):
        Ranks(Job(toy.space(), 0, tmp_path), tmp_path, "cpu", 2)
    assert multiprocessing.active_children() == []
    assert not data_parallel.is_on()
    assert ended == []
