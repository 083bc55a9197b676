from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_post_hook

from hpo.devices import n_cores
from hpo.errors import TaskError
from hpo.loop.slots import slots_per_device
from hpo.record import Settings
from hpo.runners._measured_slots import described, measured_slots, slot_limits
from hpo.space import Categorical, DatasetSpec, Fidelity, SearchSpace, Task
from hpo.training.builder import Job
from hpo.training.memory_need import Need, measure
from tests import toy
from tests.runners.workers import workers
from trainables import vision

DIGITS = SearchSpace(
    "digits",
    {"batch_size": Categorical((16, 512))},
    Fidelity(9),
    Task("from_scratch", "small_cnn", dataset=DatasetSpec("digits")),
)


class Takes(toy.Curve):
    """Takes as many MiB as its batch size says. Larger ones than 1000 do not fit."""

    def step(self) -> Mapping[str, float]:
        size = int(self.config["batch_size"])
        if size == 14:
            time.sleep(600)
        if size == 13:
            os.kill(os.getpid(), signal.SIGKILL)
        np.ones(2**55 if size > 1000 else size * 2**17)
        self.config = {"x": 0.5}
        return super().step()


@pytest.mark.parametrize(
    ("needs", "available", "cores", "n_processes", "limits"),
    [
        ([Need(0.5), Need(2.0)], 8.0, 16, 1, {"cores": 16, "main memory": 3}),
        (
            [Need(2.0, 10.0, 80.0), Need(3.0, 5.0, 79.0)],
            120.0,
            32,
            2,
            {"cores": 16, "main memory": 18, "GPU memory": 7},
        ),
        ([Need(9.0, 50.0, 40.0)], 8.0, 2, 4, {"cores": 1, "main memory": 0, "GPU memory": 0}),
        ([Need(None)], None, 4, 1, {"cores": 4}),
    ],
)
def test_slots_are_limited_by_cores_main_memory_and_the_memory_of_the_gpu(
    needs: list[Need], available: float | None, cores: int, n_processes: int, limits: dict[str, int]
) -> None:
    assert slot_limits(needs, available, cores, n_processes) == limits


def measured(*jobs: tuple[Job, Mapping[str, Any]]) -> list[Need]:
    """What a job with a configuration needs on the CPU, each measured in a new process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as new_processes:
        return [new_processes.submit(measure, job, "cpu", config).result() for job, config in jobs]


def test_what_is_measured_is_two_steps_and_a_batch_of_validation(tmp_path: Path) -> None:
    steps, evaluated = list[int](), list[int]()

    def count(module: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        if steps and isinstance(module, nn.Linear) and not module.training:
            evaluated.append(len(inputs[0]))

    handles = [
        register_optimizer_step_post_hook(lambda *_: steps.append(1)),
        register_module_forward_pre_hook(count),
    ]
    task = Task("from_scratch", "softmax_regression", dataset=DatasetSpec("digits"))
    measure(Job(replace(DIGITS, task=task), 0, tmp_path), "cpu", {"batch_size": 16})
    for handle in handles:
        handle.remove()
    assert len(steps) == 2
    assert sum(evaluated) == 256


@pytest.mark.slow
def test_each_phase_of_a_regime_is_measured(tmp_path: Path) -> None:
    vision.torchvision()
    import timm

    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "weights.pth")
    task = Task("fine_tune", "timm:test_resnet", dataset=DatasetSpec("digits"), weights=str(tmp_path / "weights.pth"))
    space = SearchSpace("digits", {"batch_size": Categorical((16, 512))}, Fidelity(9), task, fixed={"image_size": 64})
    in_phases = replace(space, task=replace(task, regime="probe_then_fine_tune"))
    found = measured(*((Job(each, 0, tmp_path), {"batch_size": 512}) for each in (space, in_phases)))
    fine_tune, probe_then_fine_tune = (need.host or 0.0 for need in found)
    assert probe_then_fine_tune > 0.95 * fine_tune


@pytest.mark.slow
def test_a_larger_batch_needs_more_main_memory(tmp_path: Path) -> None:
    job = Job(DIGITS, 0, tmp_path)
    small, large = measured(*((job, {"batch_size": size}) for size in (16, 512)))
    assert small.gpu is None
    assert small.host is not None
    assert large.host is not None
    assert 0.05 < small.host < large.host < 8


@pytest.mark.slow
def test_a_form_is_measured_in_a_process_of_its_own_and_one_line_says_what_was_found(tmp_path: Path) -> None:
    space = replace(toy.space(), domains={"batch_size": Categorical((8, 700))})
    said: list[str] = []
    assert 1 <= measured_slots(Job(space, 0, tmp_path, Takes), "cpu", said.append) <= n_cores()
    (line,) = said
    assert line.startswith("a trial with regime=tests.toy, batch_size=700 needs ")
    assert "GiB of main memory; " in line
    assert 0.7 < float(line.split("needs ")[1].split()[0]) < 2
    assert workers() == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "words"),
    [
        (2000, "does not fit into memory on cpu, but a smaller one may: Unable to allocate"),
        (13, "cannot be measured: WorkerDied: its worker died"),
    ],
)
def test_a_form_that_does_not_fit_is_named_before_the_search_and_one_trial_trains_at_a_time(
    size: int, words: str, tmp_path: Path
) -> None:
    space, said = replace(toy.space(), domains={"batch_size": Categorical((size,))}), list[str]()
    assert measured_slots(Job(space, 0, tmp_path, Takes), "cpu", said.append) == 1
    (line,) = said
    assert words in line
    assert line.endswith("; one trial trains at a time on each device")


@pytest.mark.slow
def test_a_measurement_that_hangs_ends_after_the_report_timeout(tmp_path: Path) -> None:
    space, said = replace(toy.space(), domains={"batch_size": Categorical((14,))}), list[str]()
    settings = Settings(slots="auto", devices="cpu", report_timeout=3)
    assert slots_per_device(Job(space, 0, tmp_path, Takes), settings, said.append) == 1
    assert "cannot be measured: Hung: it took longer than the report timeout of 3 seconds" in said[0]
    assert workers() == []


@pytest.mark.slow
def test_a_value_that_is_wrong_for_every_form_is_said_once(tmp_path: Path) -> None:
    said: list[str] = []
    job = Job(replace(DIGITS, fixed={"micro_batches": 0}), 0, tmp_path)
    assert measured_slots(job, "cpu", said.append) == 1
    (line,) = said
    assert "cannot be measured" in line
    assert "micro_batches" in line
    assert line.endswith("one trial trains at a time on each device")


def test_an_error_of_the_task_ends_the_search_before_it_begins(tmp_path: Path) -> None:
    space = replace(DIGITS, task=Task("from_scratch", "small_cnn", dataset=DatasetSpec("pacs", {"domain": "cartoon"})))
    with pytest.raises(TaskError):
        measured_slots(Job(space, 0, tmp_path), "cpu", lambda _: None)


def test_a_form_is_named_by_what_its_memory_depends_on(tmp_path: Path) -> None:
    fixed: dict[str, Any] = {"batch_size": 32, "optimizer": "adamw"}
    domains = {"image_size": Categorical((32, 64))}
    assert described(Job(replace(DIGITS, domains=domains, fixed=fixed), 0, tmp_path), {"image_size": 64}) == (
        "a trial with regime=from_scratch, model=small_cnn, image_size=64, batch_size=32"
    )
