"""Images a second of each augmentation, and what RandAugment adds to an epoch.

    python benchmarks/augmentation.py [--images 32] [--image-size 224] [--repeats 5] [--threads 2] [--device cpu]
                                      [--model resnet18] [--train 128] [--augmentation rand_augment] [--quick]

The first table has three sides, which change the same images from uint8 to float32 of 0..1.

- torchvision: its transforms of version 2, on one image of uint8 at a time, as in a data loader. Mixing is for batches.
- Kornia: its transforms of a batch, if it is installed. Its RandAugment and TrivialAugment draw the operations for the
  whole batch, and it has no AugMix. All draw from PyTorch's global generator, and have no argument for another one.
- ours: each image of the batch has its own operations and numbers, drawn from a generator that is passed in.

The second table has one epoch of the regime `fine_tune` with and without an augmentation: random images, a network with
random weights, float32. A quarter as many images are validated as are trained on.

In both, the sides take turns. The first turn is not counted. The medians of the others are printed, and the median of
the ratios turn by turn. The ratio of the second table is also given for the processor time of the process, which
changes less if the machine has other work. On a GPU, it says nothing.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.report import block, machine, note, verdict
from hpo import plugins
from trainables import seeding, vision
from trainables.augmentation import mixing, recipes
from trainables.data.dataset import Part, SearchData
from trainables.data.input_spec import IMAGENET
from trainables.hyperparameters import Config
from trainables.regimes import fine_tune

LIMIT = 1.15
"""How many times an epoch without augmentation an epoch with it may take."""
N_CLASSES = 10
ALONE: dict[str, Config] = {
    "random resized crop, flip": {"augmentation": "crop_flip"},
    "RandAugment": {"augmentation": "rand_augment", "crop_scale": 1, "flip_probability": 0},
    "TrivialAugment": {"augmentation": "trivial_augment", "crop_scale": 1, "flip_probability": 0},
    "AugMix": {"augmentation": "augmix", "crop_scale": 1, "flip_probability": 0},
    "random erasing": {"random_erasing": 1},
    "mixup": {"mixing": "mixup"},
    "CutMix": {"mixing": "cutmix"},
}
"""The rows of the first table, with what they are in a configuration."""
Change = Callable[[Tensor, Tensor], object]
"""Changes images of uint8 (n, 3, height, width) that have one-hot labels (n, n_classes)."""


def ours(config: Config) -> Change:
    """Our side of a row."""
    recipe, mix, generator = recipes.recipe(config), mixing.mixing(config), torch.Generator().manual_seed(0)

    def change(images: Tensor, labels: Tensor) -> object:
        changed = images.float().div_(255)
        if recipe is not None:
            changed = recipe(changed, generator)
        return changed if mix is None else mix(changed, labels, generator)

    return change


def of_torchvision(size: int) -> dict[str, Change]:
    """Torchvision's side of each row."""
    v2 = vision.transforms()
    crop = [v2.RandomResizedCrop(size), v2.RandomHorizontalFlip()]
    single = {
        "random resized crop, flip": crop,
        "RandAugment": [v2.RandAugment()],
        "TrivialAugment": [v2.TrivialAugmentWide()],
        "AugMix": [v2.AugMix()],
        "random erasing": [v2.RandomErasing(p=1)],
    }
    batched = {"mixup": v2.MixUp(num_classes=N_CLASSES), "CutMix": v2.CutMix(num_classes=N_CLASSES)}

    def one_by_one(transforms: list[Any]) -> Change:
        composed = v2.Compose([*transforms, v2.ToDtype(torch.float32, scale=True)])
        return lambda images, labels: torch.stack([composed(image) for image in images])

    def at_once(transform: Any) -> Change:
        return lambda images, labels: transform(images.float().div_(255), labels)

    return {name: one_by_one(each) for name, each in single.items()} | {k: at_once(v) for k, v in batched.items()}


def of_kornia(size: int) -> dict[str, Change]:
    """Kornia's side of each row that it has. Empty if it is not installed."""
    if importlib.util.find_spec("kornia") is None:
        return {}
    kornia: Any = importlib.import_module("kornia.augmentation")
    auto: Any = importlib.import_module("kornia.augmentation.auto")
    augment = kornia.AugmentationSequential
    transforms = {
        "random resized crop, flip": augment(kornia.RandomResizedCrop((size, size)), kornia.RandomHorizontalFlip()),
        "RandAugment": augment(auto.RandAugment(n=2, m=9)),
        "TrivialAugment": augment(auto.TrivialAugment()),
        "random erasing": augment(kornia.RandomErasing(p=1.0)),
    }
    mixes = {"mixup": kornia.RandomMixUpV2(p=1.0), "CutMix": kornia.RandomCutMixV2(p=1.0, use_correct_lambda=True)}

    def change(transform: Any) -> Change:
        return lambda images, labels: transform(images.float().div_(255))

    def mix(transform: Any) -> Change:
        return lambda images, labels: transform(images.float().div_(255), labels.argmax(dim=1))

    return {k: change(v) for k, v in transforms.items()} | {k: mix(v) for k, v in mixes.items()}


class Taken(NamedTuple):
    """The seconds of a side in each turn."""

    real: list[float]
    process: list[float]
    """Of all threads of the process."""


def in_turns(sides: Mapping[str, Callable[[], object]], repeats: int, device: str) -> dict[str, Taken]:
    """The seconds of each side in each turn but the first."""
    taken = {name: Taken([], []) for name in sides}
    for turn in range(repeats + 1):
        for name, run in sides.items():
            started, process_started = time.perf_counter(), time.process_time()
            run()
            if device != "cpu":
                torch.cuda.synchronize()
            if turn:
                taken[name].real.append(time.perf_counter() - started)
                taken[name].process.append(time.process_time() - process_started)
    return taken


def ratio(seconds: list[float], others: list[float]) -> float:
    """The median of the ratios turn by turn."""
    return statistics.median(a / b for a, b in zip(seconds, others, strict=True))


def images_a_second(typed: argparse.Namespace) -> tuple[list[str], list[list[object]]]:
    """The header and the rows of the first table."""
    shape = (typed.images, 3, typed.image_size, typed.image_size)
    images = torch.randint(0, 256, shape, dtype=torch.uint8).to(typed.device)
    labels = torch.eye(N_CLASSES)[torch.arange(typed.images) % N_CLASSES].to(typed.device)
    others = {"torchvision": of_torchvision(typed.image_size), "Kornia": of_kornia(typed.image_size)}
    rows: list[list[object]] = []
    for name, config in ALONE.items():
        changes = {side: changes[name] for side, changes in others.items() if name in changes} | {"ours": ours(config)}
        sides = {side: lambda change=change: change(images, labels) for side, change in changes.items()}
        taken = in_turns(sides, typed.repeats, typed.device)
        columns = [*others, "ours"]
        speeds = [round(typed.images / statistics.median(taken[s].real)) if s in taken else "" for s in columns]
        ratios = [ratio(taken[s].real, taken["ours"].real) if s in taken else "" for s in others]
        rows.append([name, *speeds, *ratios])
    return ["augmentation", *others, "ours", *(f"ours to {side}" for side in others)], rows


def epochs(typed: argparse.Namespace) -> tuple[list[list[object]], float]:
    """The rows of the second table, and the ratio of both epochs."""
    shape = (3, typed.image_size, typed.image_size)
    train, validation = (
        Part(torch.randint(0, 256, (n, *shape), dtype=torch.uint8), torch.arange(n) % N_CLASSES)
        for n in (typed.train, typed.train // 4)
    )
    data = SearchData(train, validation, tuple(map(str, range(N_CLASSES))))
    sides: dict[str, Callable[[], object]] = {}
    for name in ("none", typed.augmentation):
        config: Config = {"optimizer": "sgd", "lr": 1e-3, "batch_size": typed.images, "augmentation": name}
        model = plugins.load("trainables.models", typed.model).build(
            config, shape=shape, n_classes=N_CLASSES, weights="none"
        )
        model.normalize(IMAGENET.mean, IMAGENET.std)
        sides[name] = fine_tune.build(config, model, data, typed.device).step
    taken = in_turns(sides, typed.repeats, typed.device)
    reference = taken["none"]
    rows: list[list[object]] = []
    for name, (real, process) in taken.items():
        seconds = [statistics.median(real), min(real), max(real)]
        rows.append([name, *seconds, ratio(real, reference.real), ratio(process, reference.process)])
    return rows, ratio(taken[typed.augmentation].real, reference.real)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=32, help="images of a batch")
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--train", type=int, default=128, help="images of an epoch")
    parser.add_argument("--augmentation", default="rand_augment", choices=recipes.NAMES[1:])
    parser.add_argument("--quick", action="store_true", help="a tiny size: a smoke test, no measurement")
    if "--quick" in sys.argv:
        parser.set_defaults(images=4, image_size=32, repeats=1, train=8)
    typed = parser.parse_args()
    torch.set_num_threads(typed.threads)
    begun, where = machine(), f"{typed.device}, {typed.threads} threads"
    seeding.seed_everything(0)
    header, rows = images_a_second(typed)
    title = f"Images a second, batches of {typed.images} images of {typed.image_size} pixels, {where}"
    print(block(title, begun, header, rows, []), end="\n\n")
    if not any(row[2] for row in rows):
        note("Kornia is not installed: pip install kornia")
    rows, to_none = epochs(typed)
    line = f"an epoch with {typed.augmentation} takes {to_none:.3f} times one without"
    title = f"An epoch of {typed.model}, {typed.train} images of {typed.image_size} pixels, {where}"
    header = ["augmentation", "median s", "least s", "most s", "ratio to none", "ratio of process times"]
    print(block(title, begun, header, rows, [verdict(line, to_none, LIMIT, "times")]))


if __name__ == "__main__":
    main()
