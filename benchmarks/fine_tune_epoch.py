"""One epoch of training a whole network: ours, a bare loop written by hand, and the usual script over image files.

    python benchmarks/fine_tune_epoch.py [--model resnet18|alexnet] [--images 256] [--image-size 224] [--batch-size 64]
                                         [--repeats 5] [--precision fp32|bf16] [--data DIR] [--quick]

An epoch is a pass of training over half of the images and one of validation over the other half. All sides
train the same network of torchvision with SGD, in the same batches and precision; their weights are random,
as those make no difference to the time. The images are some of Caltech-101, resized and cut to one size.

- Ours: `step()` of what the regime `fine_tune` builds, images in memory, as a search runs it.
- Bare: torchvision's network, the images in memory as uint8, normalised as they come, and nothing else:
  the least that such an epoch can cost in PyTorch without changing what is computed.
- The usual script (`benchmarks/usual.py`): each image opened, decoded, resized and normalised by a
  DataLoader with a worker a core, in every epoch, as PyTorch's tutorials write it.

The sides take turns in one process. The first turn warms up and is not counted; of the others, the medians are
printed: of the seconds, and of the ratios turn by turn.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from torch.optim import SGD

from benchmarks import photos, usual
from benchmarks.report import block, cores, machine, note, verdict
from trainables import seeding, vision
from trainables.data import images
from trainables.data.dataset import Files, Part, SearchData
from trainables.data.input_spec import IMAGENET
from trainables.models import alexnet, resnet18
from trainables.regimes import fine_tune

FAMILIES: dict[str, Any] = {"resnet18": resnet18, "alexnet": alexnet}
LR = 1e-3
BARE_LIMIT = 1.03
"""How many times the bare loop ours may take."""
USUAL_LIMIT = 1.5
"""How many times ours the usual script shall take at least."""
VALIDATION_BATCH_SIZE = 256
"""The number of images in a validation batch. Ours uses the same."""
Epoch = Callable[[], object]


def ours(typed: argparse.Namespace, data: SearchData) -> Epoch:
    """An epoch of the regime."""
    config = {"optimizer": "sgd", "lr": LR, "momentum": usual.MOMENTUM, "batch_size": typed.batch_size}
    config |= {"precision": typed.precision}
    family = FAMILIES[typed.model]
    model = family.build(config, shape=data.train.shape, n_classes=len(data.classes), weights="none")
    assert IMAGENET.mean is not None
    assert IMAGENET.std is not None
    model.normalize(IMAGENET.mean, IMAGENET.std)
    return fine_tune.build(config, model, data, "cpu").step


def bare(typed: argparse.Namespace, data: SearchData) -> Epoch:
    """An epoch as it is written by hand."""
    network = vision.models().get_model(typed.model, num_classes=len(data.classes))
    network = network.to(memory_format=torch.channels_last)
    optimizer = SGD(network.parameters(), lr=LR, momentum=usual.MOMENTUM)
    mean, std = (torch.tensor(each).reshape(1, -1, 1, 1) for each in (IMAGENET.mean, IMAGENET.std))
    bf16 = typed.precision == "bf16"

    def loss_of(pixels: Any, labels: Any) -> Any:
        inputs = ((pixels.float().div_(255) - mean) / std).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = network(inputs)
        return functional.cross_entropy(logits.float(), labels)

    def epoch() -> float:
        network.train()
        for batch in torch.split(torch.randperm(len(data.train)), typed.batch_size):
            optimizer.zero_grad()
            loss_of(data.train.images[batch], data.train.labels[batch]).backward()
            optimizer.step()
        network.eval()
        part, total = data.validation, 0.0
        with torch.inference_mode():
            for pixels, labels in zip(
                torch.split(part.images, VALIDATION_BATCH_SIZE),
                torch.split(part.labels, VALIDATION_BATCH_SIZE),
                strict=True,
            ):
                total += loss_of(pixels, labels).item() * len(labels)
        return total / len(part)

    return epoch


def usual_script(typed: argparse.Namespace, root: Path) -> Epoch:
    """An epoch over image files."""
    workers, bf16 = cores(), typed.precision == "bf16"
    size, n = typed.image_size, typed.batch_size
    training = usual.loader(root / "train", size, workers=workers, batch_size=n, shuffle=True)
    validation = usual.loader(root / "validation", size, workers=workers, batch_size=VALIDATION_BATCH_SIZE)
    network = vision.models().get_model(typed.model, num_classes=len(training.dataset.classes))
    optimizer = SGD(network.parameters(), lr=LR, momentum=usual.MOMENTUM)

    def epoch() -> float:
        network.train()
        usual.train_epoch(network, training, optimizer, bf16=bf16)
        return usual.validate(network, validation, bf16=bf16)

    return epoch


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


def report(typed: argparse.Namespace, laid: photos.Photos, begun: str, taken: dict[str, list[float]]) -> str:
    """The table and the verdicts."""
    rows: list[list[object]] = []
    for name, seconds in taken.items():
        median = statistics.median(seconds)
        cells = [name, median, min(seconds), max(seconds), 1000 * median / laid.images]
        rows.append([*cells, ratio(seconds, taken["bare loop"])])
    to_bare, to_usual = ratio(taken["ours"], taken["bare loop"]), ratio(taken["usual script"], taken["ours"])
    lines = [
        verdict(f"ours takes {to_bare:.3f} times the bare loop", to_bare, BARE_LIMIT, "times"),
        verdict(f"the usual script takes {to_usual:.2f} times ours", to_usual, USUAL_LIMIT, "times", least=True),
    ]
    size = f"{laid.images} images of {typed.image_size} pixels, batches of {typed.batch_size}, {typed.precision}"
    header = ("side", "median s", "least s", "most s", "ms an image", "ratio to bare")
    return block(f"One epoch of all of {typed.model}: {size}", begun, header, rows, lines)


def ratio(numerators: list[float], denominators: list[float]) -> float:
    """The median of the ratios turn by turn, which a load that comes and goes moves least."""
    return statistics.median(a / b for a, b in zip(numerators, denominators, strict=True))


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description="One epoch of training a whole network.")
    parser.add_argument("--model", default="resnet18", choices=sorted(FAMILIES))
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--data", help="the folder of the data sets; $HPO_DATA by default")
    parser.add_argument("--quick", action="store_true", help="a tiny size: a smoke test, no measurement")
    if "--quick" in sys.argv:
        parser.set_defaults(images=32, image_size=64, batch_size=8, repeats=1)
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    typed = arguments()
    data = photos.folder(typed.data)
    if data is None:
        print(photos.MISSING)
        return
    begun = machine()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HPO_CACHE"] = f"{folder}/store"
        laid = photos.lay_out(data, Path(folder) / "photos", typed.images)
        kept = in_memory(laid.root, typed.image_size)
        seeding.seed_everything(0)
        epochs = {"ours": ours(typed, kept), "bare loop": bare(typed, kept)}
        taken = measure(epochs | {"usual script": usual_script(typed, laid.root)}, typed.repeats)
    print(report(typed, laid, begun, taken))


if __name__ == "__main__":
    main()
