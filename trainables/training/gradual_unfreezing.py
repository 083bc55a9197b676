"""Gradual unfreezing: first only the head trains, and every few epochs one more stage, from the last to the first.

The stages near the head, which are the least general, train longest (J. Howard, S. Ruder, Universal Language Model
Fine-tuning for Text Classification, ACL 2018, arXiv 1801.06146).
"""

from __future__ import annotations

from torch.optim import Optimizer

from trainables.hyperparameters import Config, read_optional_int
from trainables.trainable import HEAD, TransferModel

HYPERPARAMETERS = {
    "unfreeze_every": "epochs after which one more stage begins to train, from the last to the first; before, only the "
    "head trains; a whole number of at least 1; default none, everything trains from the first epoch",
}
RANGES = {"unfreeze_every": "int >= 1"}


def build(config: Config, model: TransferModel) -> GradualUnfreezing | None:
    """Return the gradual unfreezing of what is not frozen in `model` now, as `unfreeze_every` in `config` says.

    Returns None if `config` has none, or if there is nothing to unfreeze. Raises ValueError if `unfreeze_every` is not
    a whole number of at least 1.
    """
    n_epochs = read_optional_int(config, "unfreeze_every")
    unfreezing = GradualUnfreezing(model, n_epochs or 1)
    return unfreezing if n_epochs is not None and len(unfreezing.parts) > 1 else None


class GradualUnfreezing:
    """Says which stages of a model are frozen in each epoch.

    It depends only on the number of the epoch, unless `finish` is called.
    """

    def __init__(self, model: TransferModel, n_epochs: int) -> None:
        """A new part trains every `n_epochs` epochs. In the end, what is not frozen now trains."""
        self._model = model
        self._n_epochs = n_epochs
        self._always_frozen = model.frozen
        self._frozen_weights = model.frozen_weights
        self.parts = _parts(model)
        """The names of the stages that begin to train together, in the order in which they do. Each has weights."""
        self.is_finished = False
        """Whether all parts train, whatever the epoch."""

    def apply(self, epoch: int) -> bool:
        """Freeze what does not train in `epoch`, which counts from 0, and unfreeze the rest.

        Returns whether this changed anything. The optimizer must hold the parameters of all parts.
        """
        later = [] if self.is_finished else self.parts[epoch // self._n_epochs + 1 :]
        frozen = self._always_frozen.union(*later)
        if frozen == self._model.frozen:
            return False
        self._model.freeze(frozen, weights=self._frozen_weights)
        return True

    def finish(self) -> bool:
        """Let all parts train from the next call of `apply` on. Returns False if all train already."""
        self.is_finished = True
        return self._model.frozen != self._always_frozen


def restart_step_counts(optimizer: Optimizer) -> None:
    """Let the parameter groups that have not trained so far count their steps from 0.

    Some optimizers, such as LAMB, count the steps of a group also while its parameters have no gradients. Their first
    steps would then be too large.
    """
    for group in optimizer.param_groups:
        if not any(optimizer.state.get(parameter) for parameter in group["params"]):
            group.pop("step", None)


def _parts(model: TransferModel) -> list[tuple[str, ...]]:
    """Return the parts of a model that are not frozen, from the head to the first stage.

    A part is the head, or a stage with weights and the stages without weights after it. Stages without weights at the
    beginning belong to the last part.
    """
    modules = {HEAD: model.head, **dict(reversed(list(model.stages.items())))}
    parts: list[tuple[str, ...]] = []
    pending: tuple[str, ...] = ()
    for name, module in modules.items():
        if name not in model.frozen:
            pending += (name,)
            if list(module.parameters()):
                parts.append(pending)
                pending = ()
    if pending and parts:
        parts[-1] += pending
    return parts
