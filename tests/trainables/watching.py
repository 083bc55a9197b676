"""Watching the stages of a model at work."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from trainables.trainable import HEAD, TransferModel


@contextmanager
def _hooked(model: TransferModel, see: Callable[[str, nn.Module, Tensor], None]) -> Iterator[None]:
    """Let `see` know of each call of a stage or of the head: its name, itself and its input."""
    parts = {**dict(model.stages.items()), HEAD: model.head}
    handles = [
        part.register_forward_pre_hook(lambda module, inputs, name=name: see(name, module, inputs[0]))
        for name, part in parts.items()
    ]
    yield
    for handle in handles:
        handle.remove()


@contextmanager
def modes(model: TransferModel) -> Iterator[set[str]]:
    """The stages (and `head`) any layer of which was in training mode when it was used."""
    in_training: set[str] = set()

    def see(name: str, module: nn.Module, inputs: Tensor) -> None:
        if any(layer.training for layer in module.modules()):
            in_training.add(name)

    with _hooked(model, see):
        yield in_training


@contextmanager
def counted(model: TransferModel) -> Iterator[dict[str, int]]:
    """How many images each stage (and `head`) was given; an image alone, which shows a shape, is not counted."""
    counts = dict.fromkeys((*model.stages, HEAD), 0)

    def see(name: str, module: nn.Module, inputs: Tensor) -> None:
        counts[name] += len(inputs) if len(inputs) > 1 else 0

    with _hooked(model, see):
        yield counts
