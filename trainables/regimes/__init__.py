"""The regimes: which part of a model trains, and how; one file a regime.

A file of this folder (or a module named by an entry point of the group `trainables.regimes`) offers

    build(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable

and the literals `HYPERPARAMETERS` and, where it hands its configuration on, `READS_ALSO`. Two more say what it begins
with: `PRETRAINED = False` where models come with random weights whatever the task says, `PRETRAINED = True` where a
space must say which weights they come with, and `PRETRAINING = True` where it trains on the task's `pretraining`, which
`data.pretraining` holds; without it, a task that names one is a mistake.

One says what trains, where that is the same in every epoch: `TRAINS = "head"`, or `TRAINS = "all"`. Searches of heads
alone are trained side by side by themselves (`hpo/runners/fused.py`).
"""
