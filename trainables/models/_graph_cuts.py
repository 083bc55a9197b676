"""Cuts the graph of a network into stages, each of which takes one tensor and returns one.

The graph is what torch.fx records while the network runs on a symbolic image. Its nodes are the calls of submodules and
functions, in the order in which they run. A stage is a part of this order, with the submodules and parameters that it
uses. So the stages, one after another, run exactly the calls of the network.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

SHAPE_ATTRIBUTES = ("shape", "ndim", "dtype", "device")
SHAPE_METHODS = ("size", "dim")


class CannotCut(Exception):
    """The network cannot be cut. The message says why."""


class Cut(NamedTuple):
    """A place where a network may be cut."""

    name: str
    """The name of the stage that ends here."""
    position: int
    """The index of the last node of this stage."""


class _Tracer(fx.Tracer):
    """Records the calls of a network. Optional arguments of its forward function keep their default values."""

    def __init__(self, containers: Collection[str], whole_functions: Sequence[Callable[..., Any]]) -> None:
        super().__init__(autowrap_functions=tuple(whole_functions))
        self._containers = containers

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return module_qualified_name not in self._containers

    def create_proxy(self, kind: str, target: Any, args: Any, kwargs: Any, *others: Any, **options: Any) -> Any:
        if kind == "placeholder" and args:
            return args[0]
        return super().create_proxy(kind, target, args, kwargs, *others, **options)


class Graph:
    """The calls of a network, in order, with what is needed to cut it."""

    def __init__(
        self, network: nn.Module, containers: Collection[str], whole_functions: Sequence[Callable[..., Any]]
    ) -> None:
        """Record the calls of a network in evaluation mode.

        Submodules are recorded as one call, except for those with the names in `containers`, whose own calls are
        recorded. `whole_functions` are recorded as one call too. The network is left in evaluation mode.

        Raises CannotCut if the calls are others in training mode.
        """
        self._network = network
        texts = []
        for mode in (True, False):
            attributes = set(vars(network))
            self._graph = _Tracer(containers, whole_functions).trace(network.train(mode))
            # The tracer sets the constant tensors of the graph as attributes of the network.
            self._constants = {key: vars(network).pop(key) for key in set(vars(network)) - attributes}
            self._constants |= _dropout_as_modules(self._graph, mode)
            texts.append(str(self._graph))
        if texts[0] != texts[1]:
            raise CannotCut("the calls are others in training mode")
        *self.nodes, self._output = self._graph.nodes
        self._index = {node: i for i, node in enumerate(self._graph.nodes)}
        self._state_names = dict(_state_names(network))
        self._fixed = self._find_fixed()
        self._last_use = {node: max((self._index[user] for user in node.users), default=-1) for node in self.nodes}
        self._tensor_uses = self._find_tensor_uses()

    def output_of(self, position: int) -> fx.Node | None:
        """Return the node whose value alone is used after the node at `position`, or None if a cut is not possible."""
        value = self._only_value_after(position)
        if value is None or any(map(_takes_element, value.users)):
            return None
        shared = any(first <= position < last for first, last in self._tensor_uses.values())
        return None if shared else value

    def end_of_call(self, position: int) -> int:
        """Return the position of the last node that belongs to the call at `position`.

        These are the nodes that take an element of a tuple that the call returns, and the calls that modify the value
        in place, because a stage must not modify its input.
        """
        while (value := self._only_value_after(position)) is not None:
            users = list(value.users)
            if not all(map(_takes_element, users)) and not (len(users) == 1 and self._is_inplace(users[0])):
                break
            position = max(self._index[user] for user in users)
        return position

    def _only_value_after(self, position: int) -> fx.Node | None:
        """Return the only node whose value is used after `position`, besides weights and what only shapes determine."""
        used_later = [
            node
            for node in self.nodes[: position + 1]
            if self._last_use[node] > position and node.op != "get_attr" and node not in self._fixed
        ]
        return used_later[0] if len(used_later) == 1 else None

    def stages(self, cuts: Sequence[Cut], last: str, image: Tensor) -> dict[str, nn.Module]:
        """Cut the network at `cuts`, in order, and call the rest `last`.

        `image` is a batch of one image. The last stage holds the weights that take no part in the output. Raises
        CannotCut if the stages would not hold each weight of the network once.
        """
        parts = [*cuts, Cut(last, len(self.nodes) - 1)]
        given = self._values_of_shapes(parts, image)
        stages: dict[str, nn.Module] = {}
        start, value = 0, self.nodes[0]
        unused = {key for key, tensor in self._state_names.items() if tensor not in self._tensor_uses}
        for name, position in parts:
            result = self._output.args[0] if name == last else self.output_of(position)
            assert isinstance(result, fx.Node)
            kept = unused if name == last else ()
            stages[name] = self._stage(self.nodes[start : position + 1], value, result, given, kept)
            start, value = position + 1, result
        keys = sorted(key for stage in stages.values() for key in stage.state_dict())
        if keys != sorted(self._network.state_dict()):
            raise CannotCut("two modules share a weight")
        return stages

    def _stage(
        self,
        nodes: Sequence[fx.Node],
        value: fx.Node,
        result: fx.Node,
        given: Mapping[fx.Node, Any],
        unused: Collection[str],
    ) -> nn.Module:
        """Build the module that computes `result` from `value` by the calls `nodes`. It holds the `unused` tensors."""
        graph = fx.Graph()
        copies = {value: graph.placeholder("inputs")}
        root: dict[str, Any] = {}

        def copy(node: fx.Node) -> Any:
            if node in copies:
                return copies[node]
            if node.op == "get_attr":
                copies[node] = graph.node_copy(node)
            elif isinstance(given[node], Tensor):
                root[f"shape_{node.name}"] = given[node]
                copies[node] = graph.get_attr(f"shape_{node.name}")
            else:
                return given[node]
            return copies[node]

        for key in sorted(unused):
            graph.get_attr(key)
        for node in (each for each in nodes if each is not value and each.op != "get_attr"):
            copies[node] = graph.node_copy(node, copy)
        graph.output(copies[result])
        fixed = {copies[node] for node in self._fixed if node in copies}
        for node in reversed(list(graph.nodes)):
            if node in fixed and not node.users:
                graph.erase_node(node)
        if any(isinstance(argument, torch.device) for node in graph.nodes for argument in _arguments(node)):
            raise CannotCut("a call names a device")
        targets = [node.target for node in graph.nodes if node.op in ("call_module", "get_attr")]
        stage = fx.GraphModule({**{key: self._attribute(key) for key in targets if key not in root}, **root}, graph)
        _keep_out_of_state(stage, self._state_names)
        return stage

    def _attribute(self, name: str) -> Any:
        """Return the submodule or tensor of the network, or the constant, with this name."""
        value: Any = self._constants.get(name, self._network)
        if value is self._network:
            for part in name.split("."):
                value = getattr(value, part)
        return value

    def _values_of_shapes(self, parts: Sequence[Cut], image: Tensor) -> dict[fx.Node, Any]:
        """Return the values of calls that depend only on the shape of the image, and are used in a later stage.

        Raises CannotCut if they depend on the number of images.
        """
        ends = [position for _, position in parts]
        crossing = [
            node
            for node in self._fixed
            if any(self._index[node] <= end < self._last_use[node] for end in ends) and node.op != "get_attr"
        ]
        if not crossing:
            return {}
        runs = []
        for images in (image, image.repeat(2, 1, 1, 1)):
            for key, constant in self._constants.items():
                setattr(self._network, key, constant)
            interpreter = fx.Interpreter(self._network, garbage_collect_values=False, graph=self._graph)
            interpreter.run(images)
            for key in self._constants:
                delattr(self._network, key)
            runs.append([interpreter.env[node] for node in crossing])
        if not all(map(_equal, *runs)):
            raise CannotCut("a value that depends on the number of images is used in a later stage")
        return dict(zip(crossing, runs[0], strict=True))

    def _find_fixed(self) -> set[fx.Node]:
        """Find the calls whose values depend on the shape of the image, but neither on the image nor on weights."""
        fixed: set[fx.Node] = set()
        for node in self.nodes:
            is_shape = (node.op == "call_function" and node.target is getattr and node.args[1] in SHAPE_ATTRIBUTES) or (
                node.op == "call_method" and node.target in SHAPE_METHODS
            )
            if node.op == "get_attr":
                is_fixed = node.target not in self._state_names
            elif node.op in ("call_function", "call_method"):
                is_fixed = is_shape or fixed.issuperset(node.all_input_nodes)
            else:
                is_fixed = False
            if is_fixed:
                fixed.add(node)
        return fixed

    def _find_tensor_uses(self) -> dict[int, tuple[int, int]]:
        """Find the first and the last call that uses each tensor of the state dict, by the id of the tensor."""
        uses: dict[int, tuple[int, int]] = {}
        for node in self.nodes:
            if node.op not in ("call_module", "get_attr"):
                continue
            prefix, target = f"{node.target}.", node.target
            indices = [self._index[node]] if node.op == "call_module" else [self._index[user] for user in node.users]
            for key, tensor in self._state_names.items():
                if indices and (key == target or key.startswith(prefix)):
                    first, last = uses.get(tensor, (len(self.nodes), -1))
                    uses[tensor] = min(first, *indices), max(last, *indices)
        return uses

    def _is_inplace(self, node: fx.Node) -> bool:
        """Whether a call modifies its input in place. Modules with weights are not looked into."""
        if node.op == "call_module":
            module = self._attribute(str(node.target))
            return bool(getattr(module, "inplace", False)) and not list(module.parameters())
        name = node.target if isinstance(node.target, str) else node.target.__name__
        return bool(node.kwargs.get("inplace")) or name.endswith("_") or name in ("iadd", "imul", "isub", "itruediv")


def _state_names(network: nn.Module) -> Iterator[tuple[str, int]]:
    """The keys of the state dict, each with the id of the tensor."""
    keys = set(network.state_dict())
    named = chain(network.named_parameters(remove_duplicate=False), network.named_buffers(remove_duplicate=False))
    return ((key, id(tensor)) for key, tensor in named if key in keys)


def _keep_out_of_state(stage: nn.Module, keys: Collection[str]) -> None:
    """Take the buffers that are not in the state dict of the network out of that of the stage."""
    for name, module in stage.named_modules():
        for key in [key for key, _ in module.named_buffers(recurse=False)]:
            if (f"{name}.{key}" if name else key) not in keys:
                module._non_persistent_buffers_set.add(key)


def _dropout_as_modules(graph: fx.Graph, mode: bool) -> dict[str, nn.Module]:
    """Replace calls of dropout that depend on the mode of the network by calls of modules, which have a mode too.

    `mode` is that in which the calls were recorded. Returns the modules by their names.
    """
    modules: dict[str, nn.Module] = {}
    for node in list(graph.nodes):
        if node.target is functional.dropout and node.kwargs.get("training") is mode:
            modules[f"{node.name}_module"] = nn.Dropout(node.kwargs["p"], node.kwargs["inplace"])
            with graph.inserting_before(node):
                node.replace_all_uses_with(graph.call_module(f"{node.name}_module", (node.args[0],)))
            graph.erase_node(node)
    return modules


def _takes_element(node: fx.Node) -> bool:
    """Whether a call takes an element of a tuple."""
    return node.target is operator.getitem and isinstance(node.args[1], int)


def _arguments(node: fx.Node) -> Iterator[Any]:
    found: list[Any] = []
    fx.node.map_aggregate((node.args, node.kwargs), found.append)
    return iter(found)


def _equal(one: Any, other: Any) -> bool:
    """Whether two values are equal. Of tensors on the meta device, the shapes are compared."""
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return bool(one == other)
    return one.shape == other.shape if one.is_meta else torch.equal(one, other)
