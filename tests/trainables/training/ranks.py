"""Trainings in several ranks: processes on the CPU that train one network together."""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Callable
from multiprocessing import connection
from typing import Any

import torch

from trainables.training import data_parallel

Train = Callable[..., Any]


def train_in_ranks(train: Train, n_ranks: int, *arguments: Any) -> list[Any]:
    """What `train(*arguments)` returns in each of so many ranks. It must be a function of a module."""
    store = data_parallel.open_store(n_ranks)
    context = multiprocessing.get_context("spawn")
    pipes = [context.Pipe() for _ in range(n_ranks)]
    processes = [
        context.Process(target=_run, args=(child, train, rank, n_ranks, store.port, arguments), daemon=True)
        for rank, (_, child) in enumerate(pipes)
    ]
    for process in processes:
        process.start()
    for _, child in pipes:
        child.close()
    try:
        return [parent.recv() for parent, _ in pipes]
    finally:
        for process in processes:
            process.kill()
            process.join()


def _run(
    pipe: connection.Connection, train: Train, rank: int, n_ranks: int, port: int, arguments: tuple[Any, ...]
) -> None:
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    data_parallel.join(rank, n_ranks, "cpu", data_parallel.connect_store(n_ranks, port))
    pipe.send(train(*arguments))
    data_parallel.leave()
