"""Model families, one file for each.

A model is a file of this folder, a module of your own (named by its import path), or a module that is registered as an
entry point of the group `trainables.models`. It defines a function and a literal:

    build(config: Config, *, shape: tuple[int, int, int], n_classes: int, weights: str) -> TransferModel
    HYPERPARAMETERS = {"width": "what it means", ...}

`build` returns a new model: named stages, and a head that gives one logit for each class. `shape` is the shape of the
images (channels, height, width). `weights` is "none" for random weights, or the path of a state dict. Raise SetupError
if there is no model for this shape, number of classes or weights, and ValueError for a wrong value in `config`.

`HYPERPARAMETERS` lists the keys that `build` reads from `config`, each with a description or with the allowed values.

All other names are optional:

    READS_ALSO = ("trainables.models",)   modules that `build` hands `config` to, and that list keys of their own
    RANGES = {"width": "int >= 1"}        the numbers that are allowed, which are then checked when a space is read
    WHEN = {"gamma": {"loss": ["focal"]}} the values of others with which a hyperparameter has an effect
    IGNORES = {"layer_decay": "why"}      hyperparameters of the training that have no effect with this model
    INPUT = InputSpec(...)                the size, channels and normalisation of the images that the model expects
    WEIGHTS = "resnet18.pth"              the file name of its ImageNet weights
    fetch(path: Path) -> None             downloads the ImageNet weights and saves them at `path`
    variant(name: str)                    for `model: family:name`, returns an object with `build` and the names above
    plain_network(config, model, *, shape, n_classes)     see below
    HEAD_ONLY = True                      no stage has weights, so only the head can train
    LINEAR_HEAD = False                   the head is not a sequence of linear layers

The last two are literals. They tell the runner `auto` which trials the fused runner can train side by side: those that
train only a head of linear layers.

A TransferModel may also say which layer each of its parameters belongs to (`layers`), and which ones have no weight
decay (`undecayed`), for the hyperparameters `layer_decay` and `decay_norms`. By default, each stage is one layer.

`plain_network` returns a `PlainNetwork`: code that builds the network of a model without hpo, and the names that its
weights have there. `model` is what `build` returned, and the other arguments are the same. For a model of torch's own
layers, one after another, `plain_layers(model)` returns it. If it is None, or if there is no such function, a model
folder gets a program of torch.export instead.

The functions that this package exports help to write a model: `linear_head` and `convolution_head` build a head,
`load_into` loads weights, `plain_layers` writes the code of a plain network.
"""

from __future__ import annotations

from trainables.data.input_spec import IMAGENET, InputSpec
from trainables.models._heads import convolution as convolution_head
from trainables.models._heads import linear as linear_head
from trainables.models._plain import PlainNetwork
from trainables.models._plain import layers as plain_layers
from trainables.models._weights import load_into
from trainables.trainable import TransferModel

__all__ = [
    "IMAGENET",
    "InputSpec",
    "PlainNetwork",
    "TransferModel",
    "convolution_head",
    "linear_head",
    "load_into",
    "plain_layers",
]

HYPERPARAMETERS: dict[str, str | list[str]] = {}
READS_ALSO = ("trainables.models._heads",)
