"""One epoch of fine-tuning all layers, on three sides: ours, a bare loop written by hand, and the usual script.

An epoch is a pass of training over one half of the images and one of validation over the other half. All sides train
the same network with SGD, in the same batches and precision. Their weights are random, because they make no difference
to the time.

- ours: `step()` of what the regime `fine_tune` builds, images on the device, as a search runs it.
- bare loop: the network of torchvision or timm, the images on the device as uint8, normalised as they come, and nothing
  else: the least that such an epoch can cost in PyTorch without changing what is computed.
- usual script (`benchmarks/usual.py`): each image opened, decoded, resized and normalised by a DataLoader with a worker
  a core, in every epoch, as PyTorch's tutorials write it.

Compiled: ours compiles all stages of its network together, as code of a model may do (a subclass of TransferModel with
its own `run_stages`). The bare loop compiles the whole network.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import SGD

from benchmarks import usual
from benchmarks.report import cores, note
from hpo import plugins
from trainables import vision
from trainables.data import images
from trainables.data.dataset import Files, Part, SearchData
from trainables.data.input_spec import IMAGENET
from trainables.hyperparameters import Config
from trainables.regimes import fine_tune

TIMM = "timm:"
LR = 1e-3
VALIDATION_BATCH_SIZE = 256
"""The number of images in a validation batch. Ours uses the same."""
Epoch = Callable[[], object]


@dataclass(frozen=True)
class Setup:
    """What trains, and how."""

    model: str
    """A model of torchvision, or timm: and a model of timm."""
    image_size: int
    batch_size: int
    precision: str
    """fp32 or bf16."""
    device: str = "cpu"
    compiler: str | None = None
    """The backend of torch.compile. None: nothing is compiled."""

    @property
    def is_bf16(self) -> bool:
        return self.precision == "bf16"


def ours(setup: Setup, data: SearchData) -> Epoch:
    """An epoch of the regime."""
    config: Config = {"optimizer": "sgd", "lr": LR, "momentum": usual.MOMENTUM, "batch_size": setup.batch_size}
    config = {**config, "precision": setup.precision}
    family = plugins.load("trainables.models", setup.model)
    model = family.build(config, shape=data.train.shape, n_classes=len(data.classes), weights="none")
    assert IMAGENET.mean is not None
    assert IMAGENET.std is not None
    model.normalize(IMAGENET.mean, IMAGENET.std)
    if setup.compiler is not None:
        model.run_stages = torch.compile(model.run_stages, backend=setup.compiler)
    step: Epoch = fine_tune.build(config, model, data, setup.device).step
    return step


def bare(setup: Setup, data: SearchData) -> Epoch:
    """An epoch as it is written by hand."""
    device, data = torch.device(setup.device), data.to(setup.device)
    network = _network(setup, len(data.classes)).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if setup.compiler is not None:
        network.compile(backend=setup.compiler)
    optimizer = SGD(network.parameters(), lr=LR, momentum=usual.MOMENTUM)
    mean, std = (torch.tensor(each, device=device).reshape(1, -1, 1, 1) for each in (IMAGENET.mean, IMAGENET.std))

    def loss_of(pixels: Tensor, labels: Tensor) -> Tensor:
        inputs = ((pixels.float().div_(255) - mean) / std).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=setup.is_bf16):
            logits = network(inputs)
        return functional.cross_entropy(logits.float(), labels)

    def epoch() -> float:
        network.train()
        for batch in torch.split(torch.randperm(len(data.train), device=device), setup.batch_size):
            optimizer.zero_grad()
            loss_of(data.train.images[batch], data.train.labels[batch]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        network.eval()
        part, total = data.validation, torch.zeros((), device=device)
        with torch.inference_mode():
            for pixels, labels in zip(
                torch.split(part.images, VALIDATION_BATCH_SIZE),
                torch.split(part.labels, VALIDATION_BATCH_SIZE),
                strict=True,
            ):
                total += loss_of(pixels, labels) * len(labels)
        return float(total) / len(part)  # this waits for the device

    return epoch


def usual_script(setup: Setup, root: Path) -> Epoch:
    """An epoch over the image files in the folders `train` and `validation` under `root`."""
    settings: dict[str, Any] = {"workers": cores(), "pin": setup.device != "cpu"}
    training = usual.loader(root / "train", setup.image_size, batch_size=setup.batch_size, shuffle=True, **settings)
    validation = usual.loader(root / "validation", setup.image_size, batch_size=VALIDATION_BATCH_SIZE, **settings)
    network = _network(setup, len(training.dataset.classes)).to(setup.device)
    optimizer = SGD(network.parameters(), lr=LR, momentum=usual.MOMENTUM)

    def epoch() -> float:
        network.train()
        usual.train_epoch(network, training, optimizer, bf16=setup.is_bf16)
        return usual.validate(network, validation, bf16=setup.is_bf16)

    return epoch


def _network(setup: Setup, n_classes: int) -> nn.Module:
    """The network as its library builds it, with random weights."""
    network: nn.Module
    if setup.model.startswith(TIMM):
        import timm

        size = {} if setup.image_size == 224 else {"img_size": setup.image_size}
        network = timm.create_model(setup.model.removeprefix(TIMM), num_classes=n_classes, **size)
    else:
        network = vision.models().get_model(setup.model, num_classes=n_classes)
    return network


def in_memory(root: Path, size: int) -> SearchData:
    """The images laid out under `root`, in the same halves as the usual script finds them."""
    train, validation = (_read(root / name, size) for name in ("train", "validation"))
    return SearchData(train, validation, tuple(sorted(path.name for path in (root / "train").iterdir())))


def _read(folder: Path, size: int) -> Part:
    paths = sorted(folder.glob("*/*"))
    names = sorted({path.parent.name for path in paths})
    labels = torch.tensor([names.index(path.parent.name) for path in paths])
    return images.load(Files(tuple(paths), labels), images.ImageFormat(size, 3))


def measure(epochs: dict[str, Epoch], repeats: int) -> dict[str, list[float]]:
    """The seconds of each epoch, the sides in turns, the first turn left out."""
    taken: dict[str, list[float]] = {name: [] for name in epochs}
    for repeat in range(repeats + 1):
        for name, epoch in epochs.items():
            note(f"{repeat} of {repeats}: {name}")
            started = time.perf_counter()
            epoch()
            taken[name].append(time.perf_counter() - started)
    return {name: seconds[1:] for name, seconds in taken.items()}


def ratio(numerators: list[float], denominators: list[float]) -> float:
    """The median of the ratios turn by turn, which a load that comes and goes moves least."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))
