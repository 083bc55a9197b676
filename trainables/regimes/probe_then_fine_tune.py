"""Probe, then fine-tune: the head first, then the last stages with it.

A head that is random when the stages begin to train distorts them; one that was probed before does so
less (A. Kumar et al., Fine-Tuning can Distort Pretrained Features and Underperform
Out-of-Distribution, ICLR 2022, arXiv 2202.10054).
"""

from __future__ import annotations

from trainables.data.dataset import SearchData
from trainables.errors import WrongValue
from trainables.hyperparameters import Config, optional, whole
from trainables.trainable import Trainable, TransferModel
from trainables.training import gradient_descent
from trainables.training.gradient_descent import Training
from trainables.training.phases import Phase, Phases

HYPERPARAMETERS = {
    "probe_epochs": "epochs of the probe at most, a whole number of at least 1; default 10",
    "probe_patience": "epochs without a lower validation loss that end the probe, a whole number of at least 1",
    "probe_lr": "learning rate of the probe, above 0; default 1e-3",
    "n_stages": "how many of the last stages with weights are fine-tuned with the head, at least 1; default all",
}
READS_ALSO = ("trainables.training",)
PRETRAINED = True
"""A space must say which weights it begins with."""


def build(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable:
    """The probe at `probe_lr`, then the fine-tuning at `lr`; the epochs of both count.

    The optimizer, the schedule and all else are the same in both phases, and begin anew with the second.
    A ValueError names a wrong value and its key.
    """
    names = list(model.stages)
    weighty = [name for name in names if list(model.stages[name].parameters())]
    n_stages = whole(config, "n_stages", len(weighty))
    if n_stages > len(weighty):
        raise WrongValue(f"`n_stages` must be at most {len(weighty)}: so many stages have weights; but is {n_stages}")

    def probe() -> Training:
        model.freeze(names)
        return gradient_descent.build(config, model, data, device, lr="probe_lr")

    def fine_tune() -> Training:
        model.freeze(names[: names.index(weighty[-n_stages])])
        return gradient_descent.build(config, model, data, device)

    first = Phase(probe, whole(config, "probe_epochs", 10), optional(config, "probe_patience"))
    return Phases(model, [first, Phase(fine_tune)])
