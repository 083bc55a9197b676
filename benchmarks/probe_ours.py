"""Our side of the search of a linear probe, and one bare pass of all images through the frozen network."""

from __future__ import annotations

import math
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import usual
from benchmarks.probe_others import Search, Spent
from benchmarks.report import cores
from hpo import spacefile
from hpo.loop import Session, begin
from hpo.record import Budget, Event, Ledger, Settings
from hpo.space import SearchSpace
from hpo.trial import Crash, Report


def space(search: Search, precision: str) -> SearchSpace:
    """The grid as a space file says it."""
    fixed = {"optimizer": "sgd", "momentum": usual.MOMENTUM, "batch_size": usual.BATCH_SIZE}
    return spacefile.parse(
        {
            "task": {
                "regime": "linear_probe",
                "model": "resnet18",
                "weights": "imagenet",
                "dataset": "caltech101",
                "validation": {"fraction": 0.5, "seed": 42},
            },
            "space": {"lr": {"choices": list(search.lrs)}, "weight_decay": {"choices": list(search.decays)}},
            "fixed": fixed | {"image_size": search.image_size, "precision": precision},
            "fidelity": {"high": search.epochs},
        },
        name="probe",
    )


def ours(search: Search, runner: str, precision: str, store: Path) -> Spent:
    """A whole search: the durable ledger, a checkpoint an epoch, the tables at the end. `store` holds features."""
    os.environ["HPO_CACHE"] = str(store)
    losses: list[float] = []
    started = 0.0

    def watch(event: Event, ledger: Ledger) -> None:
        nonlocal started
        started = started or time.perf_counter()
        if isinstance(event, Report):
            losses.append(event.loss)
        assert not isinstance(event, Crash), event.error

    settings = Settings(backend="grid", runner=runner, devices="cpu", data=str(search.root))
    budget = Budget(trials=len(search.configurations))
    with tempfile.TemporaryDirectory() as folder:
        begin(Path(folder) / "probe", space(search, precision), settings, budget, session=Session(watch=watch))
        seconds = time.perf_counter() - started
    return Spent(seconds, len(losses), min(losses))


class Pass(NamedTuple):
    """What one pass over all images took, in seconds."""

    images: int
    reading: float
    features: float


def bare_pass(data: Path, size: int, precision: str, channels_last: bool) -> Pass:
    """Read all training images of Caltech-101 by threads, then pass each through the network once: nothing else."""
    import numpy as np
    import torch
    from PIL import Image
    from torch import nn

    from trainables.data.dataset import Files
    from trainables.data.input_spec import IMAGENET
    from trainables.datasets import caltech101

    training = caltech101.build(data).training()
    assert isinstance(training, Files)
    network = usual.frozen_resnet(data, 1).eval()
    network.fc = nn.Identity()
    layout: Any = torch.channels_last if channels_last else torch.contiguous_format
    network = network.to(memory_format=layout)
    mean, std = (torch.tensor(each).reshape(1, -1, 1, 1) for each in (IMAGENET.mean, IMAGENET.std))

    def read(path: Path) -> Any:
        with Image.open(path) as image:
            scale = size / min(image.size)
            width, height = (math.ceil(side * scale) for side in image.size)
            left, top = (width - size) // 2, (height - size) // 2
            resized = image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
            return np.asarray(resized.crop((left, top, left + size, top + size)))

    started = time.perf_counter()
    with ThreadPoolExecutor(cores()) as pool:
        images = torch.from_numpy(np.stack(list(pool.map(read, training.paths)))).permute(0, 3, 1, 2).contiguous()
    read_at = time.perf_counter()
    bf16 = precision == "bf16"
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        features = [
            network(((batch.float() / 255 - mean) / std).contiguous(memory_format=layout)).float()
            for batch in torch.split(images, 64)
        ]
    assert len(torch.cat(features)) == len(training)
    return Pass(len(training), read_at - started, time.perf_counter() - read_at)
