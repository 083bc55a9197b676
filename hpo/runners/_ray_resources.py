"""The resources of a slot of the runner `ray`, such as `gpu=0.5,cpu=2`, and how many slots a cluster has room for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hpo.errors import UnknownName, UserError, shortened

NAMES = {"cpu": "CPU", "gpu": "GPU", "memory": "memory"}
"""The resources that every cluster knows, by the names that users write, and Ray's names."""
OWN_PREFIXES = ("node:", "object_store_memory", "accelerator_type:")
"""How the names of resources begin that Ray adds to each node by itself. No slot asks for them."""
MOST = 1e9
"""Counts are limited to this, so that a slot that needs next to nothing still gives a number."""


@dataclass(frozen=True)
class Node:
    """A node of the cluster that is alive."""

    id: str
    host: str
    """The name of the machine."""
    resources: Mapping[str, float]
    """What it offers in all, by Ray's names."""


@dataclass(frozen=True)
class SlotRequest:
    """What the user asks for."""

    devices: str = "auto"
    """auto or cpu."""
    slots: int | None = None
    """The largest number of slots. None is no limit."""
    of_slot: Mapping[str, float] | None = None
    """What a slot takes, by Ray's names. None is the default."""

    def resources(self, nodes: Iterable[Node]) -> Mapping[str, float]:
        """Return what a slot takes on a cluster of these nodes. Raises the errors of `check_possible`."""
        nodes = list(nodes)
        resources = self.of_slot or default(nodes, self.devices, self.slots)
        check_possible(nodes, resources)
        return resources


def parse(text: str) -> dict[str, float]:
    """Return the resources of a text such as `gpu=0.5,cpu=2`, by Ray's names.

    Raises a UserError if the text has another form, or if an amount is not allowed.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, number = (word.strip() for word in part.partition("="))
        try:
            amount = float(number)
        except ValueError:
            amount = math.nan
        if not equals or not name or not amount >= 0 or math.isinf(amount):
            raise UserError(f"resources {shortened(text)}: write them as name=number, such as gpu=0.5,cpu=2")
        key = NAMES.get(name.lower(), name)
        if key in found:
            raise UserError(f"resources {shortened(text)}: {name} is given twice")
        if key == "GPU" and amount > 1 and not amount.is_integer():
            raise UserError(f"resources {shortened(text)}: above 1, gpu must be a whole number, but is {number}")
        found[key] = amount
    if not any(found.values()):
        raise UserError(f"resources {shortened(text)}: a slot needs some of at least one resource")
    return found


def default(nodes: Iterable[Node], devices: str, slots: int | None) -> dict[str, float]:
    """Return the resources of a slot if the user gives none.

    On a cluster with GPUs, a slot takes one GPU and its share of the cores of its node. Otherwise it takes one core,
    or more if `slots` slots leave room for more.
    """
    nodes = list(nodes)
    with_gpus = [node.resources for node in nodes if node.resources.get("GPU", 0) >= 1]
    if with_gpus and devices != "cpu":
        share = min(node.get("CPU", 0) // node["GPU"] for node in with_gpus)
        return {"GPU": 1.0, "CPU": max(1.0, float(share))}
    most = max((int(node.resources.get("CPU", 0)) for node in nodes), default=1)
    fitting = (n for n in range(most, 1, -1) if slots is not None and capacity(nodes, {"CPU": n}) >= slots)
    return {"CPU": float(next(fitting, 1))}


def capacity(nodes: Iterable[Node], resources: Mapping[str, float]) -> int:
    """Return how many slots fit on all nodes together, if nobody else uses them."""
    return sum(room(node, resources) for node in nodes)


def room(node: Node, resources: Mapping[str, float]) -> int:
    """Return how many slots fit on a node, if nobody else uses it."""
    counts = (node.resources.get(name, 0) / amount for name, amount in resources.items() if amount > 0)
    return int(min([MOST, *counts]) + 1e-6)


def check_possible(nodes: Iterable[Node], resources: Mapping[str, float]) -> None:
    """Raise a UserError if no node has room for a slot. It says which resource is missing."""
    nodes = list(nodes)
    if any(room(node, resources) for node in nodes):
        return
    offered = {name for node in nodes for name in node.resources if not name.startswith(OWN_PREFIXES)}
    for name in resources:
        if name not in offered and name not in NAMES.values():
            raise UnknownName("resource of the Ray cluster:", name, [_written(each) for each in offered])
    most = (
        "; ".join(f"{node.host} has {written(_public(node.resources)) or 'none'}" for node in nodes) or "it has no node"
    )
    raise UserError(f"no node of the Ray cluster offers a slot {written(resources)}: {shortened(most)}")


def actor_options(resources: Mapping[str, float]) -> dict[str, Any]:
    """Return the options of a Ray actor that takes these resources."""
    own = {name: amount for name, amount in resources.items() if name not in NAMES.values()}
    options: dict[str, Any] = {"num_cpus": resources.get("CPU", 0), "num_gpus": resources.get("GPU", 0)}
    if "memory" in resources:
        options["memory"] = int(resources["memory"])
    return {**options, "resources": own}


def written(resources: Mapping[str, float]) -> str:
    """Return resources as users write them: gpu=0.5,cpu=2."""
    return ",".join(f"{_written(name)}={amount:g}" for name, amount in resources.items())


def _written(name: str) -> str:
    return next((own for own, rays in NAMES.items() if rays == name), name)


def _public(resources: Mapping[str, float]) -> dict[str, float]:
    """The resources of a node without those that Ray adds."""
    return {name: resources[name] for name in sorted(resources) if not name.startswith((*OWN_PREFIXES, "memory"))}
