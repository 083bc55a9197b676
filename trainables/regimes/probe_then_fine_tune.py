"""Probe, then fine-tune: first only the head trains, then the head and the last stages.

If the head is still random when the stages begin to train, it distorts their pretrained features. A head that was
trained before distorts them less (A. Kumar et al., Fine-Tuning can Distort Pretrained Features and Underperform
Out-of-Distribution, ICLR 2022, arXiv 2202.10054).
"""

from __future__ import annotations

from trainables.data.dataset import SearchData
from trainables.errors import SetupError, WrongValue
from trainables.hyperparameters import Config, read_int, read_optional_int
from trainables.trainable import Trainable, TransferModel
from trainables.training import gradient_descent
from trainables.training.gradient_descent import Training
from trainables.training.phases import Phase, Phases

HYPERPARAMETERS = {
    "probe_epochs": "epochs of the probe at most, a whole number of at least 1; default 10",
    "probe_stop_epoch": "epoch after which the probe ends, before its schedule does, at least 1; default none",
    "probe_patience": "epochs without a lower validation loss that end the probe, at least 1; default no limit",
    "probe_lr": "learning rate of the probe, above 0; default 1e-3",
    "n_stages": "how many of the last stages with weights are fine-tuned with the head, at least 1; default all",
}
RANGES = {
    "probe_epochs": "int >= 1",
    "probe_stop_epoch": "int >= 1",
    "probe_patience": "int >= 1",
    "probe_lr": "float > 0",
    "n_stages": "int >= 1",
}
FIRST_PHASE = ("probe_epochs", "probe_stop_epoch", "probe_patience")
READS_ALSO = ("trainables.training",)
PRETRAINED = True
"""A space must say which weights the model starts from."""


def build(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    """Return a training in two phases: the head at `probe_lr`, then the head and the last `n_stages` stages at `lr`.

    The epochs of both phases count. `n_stages` counts only stages with weights. All other settings are the same in both
    phases; the second phase starts with a new optimizer and schedule. Raises ValueError for a wrong value in `config`;
    the message names the key. Raises SetupError if no stage has weights, or if a BatchNorm cannot train because its
    batches have a single image.
    """
    names = list(model.stages)
    with_weights = [name for name in names if list(model.stages[name].parameters())]
    if not with_weights:
        raise SetupError("nothing is left to fine-tune: no stage of the model has weights", keys=("model", "regime"))
    n_stages = read_int(config, "n_stages", len(with_weights))
    if n_stages > len(with_weights):
        raise WrongValue(
            f"`n_stages` must be at most {len(with_weights)}: so many stages have weights; but is {n_stages}"
        )
    frozen_after = names[: names.index(with_weights[-n_stages])]

    def probe() -> Training:
        model.freeze(names)
        return gradient_descent.build(config, model, data, device, lr="probe_lr")

    def fine_tune() -> Training:
        model.freeze(frozen_after)
        return gradient_descent.build(config, model, data, device)

    n_epochs, patience = read_int(config, "probe_epochs", 10), read_optional_int(config, "probe_patience")
    probe_phase = Phase(probe, n_epochs, patience, read_optional_int(config, "probe_stop_epoch"))
    return Phases(model, [probe_phase, Phase(fine_tune)])
