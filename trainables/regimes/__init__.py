"""Training regimes: which part of a model trains, and how. One file for each regime.

A regime is a file of this folder, a module of your own (named by its import path), or a module that is registered as an
entry point of the group `trainables.regimes`. It defines a function and a literal:

    build(config: Config, model: TransferModel, data: SearchData, device: str) -> Trainable
    HYPERPARAMETERS = {"train_head": [True, False], ...}

`build` freezes the parts of `model` that do not train (`model.freeze` for whole stages, `model.train_only` for single
weights), and returns the training of the rest on `device` (cpu, cuda, cuda:1, ...), usually from
`trainables.training.build`. `data` holds the training and the validation part. Torch is seeded before `model` is built.
Raise ValueError for a wrong value in `config`, and SetupError if the regime does not fit the model or the data.

`HYPERPARAMETERS` lists the keys that `build` reads from `config`, each with a description or with the allowed values.

These literals are optional:

    READS_ALSO = ("trainables.training",)   modules that `build` hands `config` to, and that list keys of their own
    RANGES = {"n_epochs": "int >= 1"}       the numbers that are allowed, which are then checked when a space is read
    WHEN = {"width": {"head": ["network"]}} the values of others with which a hyperparameter has an effect
    IGNORES = {"layer_decay": "why"}        hyperparameters of models and training that have no effect in this regime
    FIRST_PHASE = ("n_epochs", "patience")  hyperparameters of which the smallest is the epochs that the first of two
                                            phases has at least; a space whose trials never get beyond gets a notice
    PRETRAINED = True                       a space must say which weights the model starts from
    PRETRAINED = False                      the model always starts from random weights, whatever the task says
    PRETRAINING = True                      the regime first trains on `data.pretraining`, the task's data set
                                            `pretraining`; with other regimes, a task must not name one
    TRAINS = "head"                         in every epoch, only the head trains
    TRAINS = "all"                          in every epoch, the whole model trains
    DATA_PARALLEL = True                    several devices can train one trial together
    DETERMINISTIC = True                    the seed changes nothing, so that `hpo test` trains a configuration once
    AVERAGEABLE = False                     the weights of its trials do not come from a common start, so that a mean
                                            of them has no meaning (`hpo soup`)

With `TRAINS`, the runner `auto` can choose the fused runner for trials that train only a head (`hpo/runners/fused.py`).
"""
