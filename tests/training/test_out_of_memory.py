"""How a trial that runs out of memory is recognised and tried again, without training."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from hpo.training.out_of_memory import (
    DEFAULT_BATCH_SIZE,
    EXIT_STATUSES,
    Attempt,
    final,
    is_oom_kill,
    kind_of,
    next_attempt,
    of_death,
)
from hpo.trial import OUT_OF_MEMORY, Crash
from trainables import memory
from trainables.training import gradient_descent


def test_a_trial_is_tried_again_alone_once_and_then_in_more_and_more_parts_if_that_is_allowed() -> None:
    host, gpu = Crash(0, "HostOutOfMemory", "none left"), Crash(0, "GpuOutOfMemory", "none left")
    settings = {"oom": "accumulate", "batch_size": 16}
    assert next_attempt(settings, Attempt(), Crash(0, "ValueError", "")) is None
    on_gpu = next_attempt({}, Attempt(), gpu)
    assert on_gpu == Attempt("gpu", shortage=gpu)
    assert next_attempt({}, on_gpu, gpu) is None
    assert next_attempt({}, on_gpu, host) == Attempt("host", shortage=host)
    attempts, attempt = [], next_attempt(settings, Attempt(), host)
    while attempt is not None:
        attempts.append(attempt.micro_batches)
        attempt = next_attempt(settings, attempt, host)
    assert attempts == [None, 2, 4, 8]
    assert next_attempt({**settings, "micro_batches": 4}, Attempt("host"), host) == Attempt("host", 8, host)


def test_a_training_that_has_no_parts_ends_with_the_shortage_that_it_had() -> None:
    shortage, wrong = Crash(0, "GpuOutOfMemory", "none left"), Crash(0, "WrongValue", "`micro_batches` must be 1")
    assert final(Attempt("gpu", 2, shortage), wrong) == Crash(
        0, "GpuOutOfMemory", "the trial does not fit into memory, also when tried again: none left"
    )
    assert final(Attempt("gpu", None, shortage), wrong) == wrong
    assert final(Attempt(), wrong) == wrong


@pytest.mark.parametrize(
    ("status", "before", "now", "expected"),
    [(-9, 0, 1, True), (-9, 1, 1, False), (-9, None, None, False), (-11, 0, 1, False), (1, 0, 1, False)],
)
def test_a_kill_of_the_kernel_is_told_from_one_of_a_user_by_the_count_of_the_kernel(
    status: int, before: int | None, now: int | None, expected: bool
) -> None:
    assert is_oom_kill(status, before, now) is expected


def test_the_batch_size_that_is_assumed_is_the_default_of_the_training() -> None:
    assert gradient_descent.read_batch_size({}) == DEFAULT_BATCH_SIZE


def test_each_place_where_memory_runs_out_has_a_kind_of_its_own() -> None:
    assert set(OUT_OF_MEMORY.values()) == set(get_args(memory.MemoryKind))
    assert kind_of(MemoryError()) == "HostOutOfMemory"
    assert kind_of(torch.cuda.OutOfMemoryError("CUDA out of memory.")) == "GpuOutOfMemory"


@pytest.mark.parametrize("kind", OUT_OF_MEMORY)
def test_the_exit_status_of_a_worker_says_where_another_of_its_processes_ran_out(kind: str) -> None:
    crash = of_death(3, 2, EXIT_STATUSES[kind], False)
    assert crash == Crash(3, kind, "one of its processes ran out of memory after epoch 2")
    assert of_death(3, 2, 1, False) is None
    assert of_death(3, 2, -9, False) is None
