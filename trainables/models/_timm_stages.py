"""Splits a network of timm into named stages at its joints.

The joints are the modules whose outputs timm offers as features, and the modules beside them: the groups of blocks of a
convolutional or hierarchical network, the blocks of a vision transformer. Each is a stage with its name in timm.
Everything before the first joint is the stage "stem", such as the patch embedding with the position embedding and the
class token. Everything after the last is the stage "last": norms and pooling.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterator

from torch import Tensor, nn

from trainables.models._graph_cuts import CannotCut, Cut, Graph

WHOLE = "network"
"""The name of the only stage of a network that is not split."""
STEM, LAST = "stem", "last"


def split(network: nn.Module, image: Tensor) -> dict[str, nn.Module]:
    """Split a network in evaluation mode into stages. `image` is a batch of one image that it can take.

    Joints at which more than one tensor flows are no cuts. The only stage is the network itself if there is no cut.
    """
    try:
        return _stages(network, image)
    except Exception:  # the forward functions of networks that cannot be traced raise all kinds of errors
        return {WHOLE: network}
    finally:
        network.eval()


def names(network: nn.Module, stages: Collection[str]) -> dict[str, str]:
    """Return how the keys of these stages begin in a TransferModel, and how they begin in the network."""
    return {f"stages.{stage}.": "" for stage in stages}


def _stages(network: nn.Module, image: Tensor) -> dict[str, nn.Module]:
    containers = set(_containers(network))
    functions = importlib.import_module("timm.layers").get_notrace_functions()
    graph = Graph(network, containers, functions)
    joints = {name for name in _joints(network, containers) if _has_layers(network.get_submodule(name))}
    # Only in a plain sequence of layers, such as VGG, all features are outputs of single layers.
    cuts = list(_cuts(graph, joints or set(_feature_modules(network)), has_stem=bool(joints)))
    if not cuts:
        raise CannotCut("no joint at which one tensor flows")
    return graph.stages(cuts, LAST, image)


def _cuts(graph: Graph, joints: Collection[str], *, has_stem: bool) -> Iterator[Cut]:
    """The cuts after each joint, and before the first if there is a stem."""
    is_first = has_stem
    for i, node in enumerate(graph.nodes):
        if node.op != "call_module" or node.target not in joints:
            continue
        if is_first and i > 1 and graph.output_of(i - 1) is not None:
            yield Cut(STEM, i - 1)
        is_first = False
        position = graph.end_of_call(i)
        if position < len(graph.nodes) - 1 and graph.output_of(position) is not None:
            yield Cut(str(node.target).replace(".", "_"), position)


def _feature_modules(network: nn.Module) -> list[str]:
    """The names of the modules whose outputs timm offers as features, such as "layer1" or "stages.0"."""
    return [info["module"] for info in getattr(network, "feature_info", None) or ()]


def _containers(network: nn.Module) -> Iterator[str]:
    """The names of the modules whose children are joints, and of the modules around them."""
    features = _feature_modules(network)
    for feature in features:
        path = ""
        for part in feature.split(".")[:-1]:
            path = f"{path}.{part}" if path else part
            yield path
            if isinstance(network.get_submodule(path), nn.Sequential | nn.ModuleList):
                break
    if not any(_has_layers(network.get_submodule(feature)) for feature in features):
        for name, module in network.named_children():
            if isinstance(module, nn.Sequential | nn.ModuleList) and sum(map(_has_layers, module.children())) > 1:
                yield name


def _joints(network: nn.Module, containers: Collection[str]) -> Iterator[str]:
    yield from _feature_modules(network)
    for container in containers:
        module = network.get_submodule(container)
        if isinstance(module, nn.Sequential | nn.ModuleList):
            yield from (f"{container}.{name}" for name, _ in module.named_children())


def _has_layers(module: nn.Module) -> bool:
    """Whether a child of the module has weights."""
    return any(True for child in module.children() for _ in child.parameters())
