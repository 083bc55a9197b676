"""How many networks of timm are split into stages at their joints, and how many stay one stage.

    python benchmarks/timm_stages.py [--each 2] [--largest 30] [--networks 'vit_*' 'swin*']

Each network of timm's list is traced and cut without weights, and the shapes of what its stages return are compared
with those of the network. This takes seconds for a network of any size. Besides, the smallest networks of each of
timm's modules, as many as `--each` says, are built with random weights, as a trial builds them: they are split only if
the stages give exactly the output of the network. Those with more than `--largest` million parameters are not built.

Images have the size that timm states for a network, or 128 pixels if that is less and the network takes images of any
size.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import defaultdict
from typing import Any, NamedTuple

import torch
from torch import nn

from benchmarks.report import block, machine
from trainables import vision
from trainables.models import _timm_stages, timm

HEADER = ("timm's module", "networks", "cut", "stages", "built", "built and cut")


class Network(NamedTuple):
    """A network of timm's list, cut without weights."""

    module: str
    """The module of timm that defines it, such as vision_transformer."""
    name: str
    n_parameters: int
    n_stages: int
    """1 if it stays whole."""


def traced(library: Any, name: str) -> Network | None:
    """Cut a network without weights. None if timm cannot build it here, for example because a package is missing."""
    try:
        with torch.device("meta"):
            network = library.create_model(name, num_classes=0).eval()
    except Exception as error:
        print(f"left out: {name}: {type(error).__name__}: {error}", file=sys.stderr)
        return None
    image = torch.zeros(1, *network.pretrained_cfg["input_size"], device="meta")
    stages = _timm_stages.split(network, image)
    n_stages = len(stages) if _fit(network, stages, image) else 1
    n_parameters = sum(parameter.numel() for parameter in network.parameters())
    return Network(type(network).__module__.rpartition(".")[2], name, n_parameters, n_stages)


@torch.no_grad()
def _fit(network: nn.Module, stages: dict[str, nn.Module], image: torch.Tensor) -> bool:
    """Whether the stages return values of the shape that the network returns."""
    values = image
    try:
        for stage in stages.values():
            values = stage(values)
        return bool(values.shape == network(image).shape)
    except Exception:
        return False


def is_cut(name: str) -> bool | None:
    """Build a network with random weights, and return whether it has several stages. None if it gives no vector."""
    variant = timm.variant(name)
    size, channels = variant.INPUT.size or 224, variant.INPUT.channels or 3
    side = size if variant.fixed_size else min(size, 128)
    try:
        model = variant.build({}, shape=(channels, side, side), n_classes=2, weights="none")
    except ValueError as error:
        print(f"not built: {error}", file=sys.stderr)
        return None
    return len(model.stages) > 1


def rows(networks: list[Network], each: int, largest: float) -> list[tuple[object, ...]]:
    """The rows of the table: one for each module of timm, and the sum."""
    by_module: dict[str, list[Network]] = defaultdict(list)
    for network in networks:
        by_module[network.module].append(network)
    lines: list[tuple[object, ...]] = []
    for module, members in sorted(by_module.items()):
        small = [network for network in members if network.n_parameters <= 1e6 * largest]
        smallest = sorted(small, key=lambda network: network.n_parameters)[:each]
        built = [found for network in smallest if (found := is_cut(network.name)) is not None]
        n_stages = [network.n_stages for network in members if network.n_stages > 1]
        words = f"{min(n_stages)} to {max(n_stages)}" if n_stages else ""
        lines.append((module, len(members), len(n_stages), words, len(built), sum(built)))
        print(*lines[-1], file=sys.stderr, flush=True)
    sums = [sum(int(str(line[i])) for line in lines) for i in (1, 2, 4, 5)]
    return [*lines, ("all", sums[0], sums[1], "", sums[2], sums[3])]


def main() -> None:
    """Count, and print a section of RESULTS.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--each", type=int, default=2, help="networks of each module that are built; default 2")
    parser.add_argument("--largest", type=float, default=30.0, help="million parameters of those at most; default 30")
    parser.add_argument("--networks", nargs="+", default=["*"], metavar="PATTERN", help="names in timm; default all")
    typed = parser.parse_args()
    where = machine()
    warnings.simplefilter("ignore")
    vision.torchvision()
    import timm as library

    names = sorted({name for pattern in typed.networks for name in library.list_models(pattern)})
    networks = [network for name in names if (network := traced(library, name)) is not None]
    table = rows(networks, typed.each, typed.largest)
    whole = [network.name for network in networks if network.n_stages == 1]
    line = f"{len(whole)} of {len(networks)} networks stay one stage: {', '.join(whole) or 'none'}"
    print(block(f"Networks of timm {library.__version__}, cut into stages", where, HEADER, table, [line]))


if __name__ == "__main__":
    main()
