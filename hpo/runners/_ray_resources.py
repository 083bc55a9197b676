"""The resources of a slot of the runner `ray`, such as `gpu=0.5,cpu=2`, and how many slots a cluster has room for."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hpo.errors import UnknownName, UserError, shortened
from hpo.runners._ray_flags import FLAGS

NAMES = {"cpu": "CPU", "gpu": "GPU", "memory": "memory"}
"""The resources that every cluster knows, by the names that users write, and Ray's names."""
OWN_PREFIXES = ("node:", "object_store_memory", "accelerator_type:")
"""How the names of resources begin that Ray adds to each node by itself. No slot asks for them."""
SYNONYMS = {"gpus": "gpu", "num_gpus": "gpu", "cpus": "cpu", "num_cpus": "cpu", "cores": "cpu", "core": "cpu"} | {
    "mem": "memory",
    "ram": "memory",
}
"""Names that other programs have for the resources that every cluster knows."""
FLAG = FLAGS["resources"]
FORM = "name=number with commas between them, such as gpu=0.5,cpu=2; memory is in bytes, such as memory=16e9"
"""What is allowed, for a message."""
LEAST = 1e-4
"""The smallest amount that Ray counts."""
LEAST_MEMORY = 10**6
"""The fewest bytes of memory that a slot may ask for. Whoever writes fewer means another unit."""


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

    def on(self, nodes: Iterable[Node], starts_nodes: Callable[[], bool]) -> WantedSlots:
        """Return the slots on a cluster of these nodes.

        `starts_nodes` says whether the cluster starts nodes on demand. It is only called if there is not enough room.
        Without such a cluster, the errors of `check_possible` are raised.
        """
        nodes = list(nodes)
        resources = self.of_slot or default(nodes, self.devices, self.slots)
        has_room = capacity(nodes, resources) >= (self.slots or 1)
        wanted = WantedSlots(resources, self.slots, not has_room and starts_nodes())
        if not wanted.starts_nodes:
            check_possible(nodes, resources)
        return wanted


@dataclass(frozen=True)
class WantedSlots:
    """The slots of a search on a cluster."""

    resources: Mapping[str, float]
    """What a slot takes, by Ray's names."""
    limit: int | None = None
    """The largest number of slots. None is no limit."""
    starts_nodes: bool = False
    """Whether the cluster starts nodes for slots that have no room."""

    def number(self, nodes: Iterable[Node]) -> int:
        """Return how many slots there should be on a cluster of these nodes.

        Without a limit, there are at most as many on a node as it has cores, unless they ask for other devices.
        """
        if self.limit is not None:
            return self.limit if self.starts_nodes else min(capacity(nodes, self.resources), self.limit)
        n_slots = sum(n_on_node(node, self.resources) for node in nodes)
        return max(n_slots, 1) if self.starts_nodes else n_slots

    def summary(self, nodes: Iterable[Node]) -> str:
        """Return a line for the user: how many slots there are now, and what each takes."""
        nodes, slot = list(nodes), written(self.resources)
        if not (room := capacity(nodes, self.resources)):
            return f"no node of the Ray cluster offers a slot {slot} yet; it starts nodes, and the search waits for one"
        n_slots, n_nodes = min(room, self.number(nodes)), sum(room_on > 0 for room_on in self._rooms(nodes))
        slots = "1 slot" if n_slots == 1 else f"{n_slots} slots"
        where = "1 node" if n_nodes == 1 else f"up to {n_nodes} nodes"
        return f"ray: {slots} of {slot} on {where}"

    def _rooms(self, nodes: Iterable[Node]) -> list[int]:
        return [room(node, self.resources) for node in nodes]


def parse(text: str) -> dict[str, float]:
    """Return the resources of a text such as `gpu=0.5,cpu=2`, by Ray's names.

    If it names nothing but memory, a slot also takes one core. Raises a UserError if the text has another form, or if
    an amount is not allowed.
    """
    start = f"{FLAG} {shortened(text)}:"
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, number = (word.strip() for word in part.partition("="))
        if not equals or not name or not number:
            raise UserError(f"{start} write {FORM}")
        if (meant := SYNONYMS.get(name.lower())) is not None:
            raise UserError(f"{start} unknown resource {name!r}; did you mean {meant!r}? Write {FORM}")
        key = NAMES.get(name.lower(), name)
        if key in found:
            raise UserError(f"{start} {_written(key)} is given twice; write it once")
        found[key] = _amount(start, key, number)
    if not any(found.values()):
        raise UserError(f"{start} a slot needs some of at least one resource; write {FORM}")
    return {**found, "CPU": 1.0} if list(found) == ["memory"] else found


def _amount(start: str, key: str, number: str) -> float:
    """The amount of a resource. `key` is its name in Ray, and `start` the beginning of an error's message."""
    name = _written(key)
    if key == "memory" and (match := re.fullmatch(r"([0-9.]+)\s*([kmgt])(i?)b?", number.lower())):
        size = (1024 if match[3] else 1000) ** ("kmgt".index(match[2]) + 1)
        with contextlib.suppress(ValueError):
            raise UserError(f"{start} memory is a number of bytes; write memory={float(match[1]) * size:.12g}")
    try:
        amount = float(number)
    except ValueError:
        amount = math.nan
    if not 0 <= amount < math.inf:
        raise UserError(f"{start} {name} must be a number of at least 0, but is {shortened(number)}; write {FORM}")
    if 0 < amount < LEAST:
        raise UserError(f"{start} {name} must be 0 or at least {LEAST:g}, but is {shortened(number)}")
    if key == "GPU" and amount > 1 and not amount.is_integer():
        raise UserError(f"{start} above 1, {name} must be a whole number, but is {shortened(number)}")
    if key == "memory" and amount and (amount < LEAST_MEMORY or not amount.is_integer()):
        meant = f"; did you mean memory={amount:g}e9?" if amount < LEAST_MEMORY else ""
        raise UserError(
            f"{start} memory must be a whole number of bytes of at least 1e6, but is {shortened(number)}{meant}"
        )
    return amount


def check_local(resources: Mapping[str, float]) -> None:
    """Raise UnknownName if Ray on this machine, as hpo starts it, lacks a resource. The amounts are not checked."""
    for name in resources:
        if name not in NAMES.values():
            raise UnknownName(f"resource in {FLAG} of Ray on this machine:", name, NAMES)


def check_devices(devices: str, resources: Mapping[str, float] | None) -> None:
    """Raise a UserError if the setting `devices` is none of this runner, or contradicts the resources of a slot."""
    if devices not in ("auto", "cpu"):
        raise UserError(
            f"--devices {shortened(devices)}: the runner ray takes auto or cpu; {FLAG}, such as gpu=1, says the rest"
        )
    if devices == "cpu" and (amount := (resources or {}).get("GPU", 0)):
        raise UserError(f"--devices cpu contradicts {FLAG} gpu={amount:g}: leave one of them out")


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
    return int(min(node.resources.get(name, 0) / amount for name, amount in resources.items() if amount > 0) + 1e-6)


def n_on_node(node: Node, resources: Mapping[str, float]) -> int:
    """Return how many slots a node has if the user gives no number.

    It is `room`, and at most the number of cores if a slot takes less than one core, and neither a GPU nor a resource
    of the cluster's own.
    """
    takes_other = any(amount > 0 for name, amount in resources.items() if name not in ("CPU", "memory"))
    if takes_other or resources.get("CPU", 0) >= 1:
        return room(node, resources)
    return min(room(node, resources), max(1, int(node.resources.get("CPU", 0))))


def check_possible(nodes: Iterable[Node], resources: Mapping[str, float]) -> None:
    """Raise a UserError if no node has room for a slot. It says which resource is missing."""
    nodes = list(nodes)
    if any(room(node, resources) for node in nodes):
        return
    offered = {name for node in nodes for name in node.resources if not name.startswith(OWN_PREFIXES)}
    for name in resources:
        if name not in offered and name not in NAMES.values():
            known = {*NAMES, *(_written(each) for each in offered)}
            raise UnknownName(f"resource in {FLAG} of the Ray cluster:", name, known)
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
