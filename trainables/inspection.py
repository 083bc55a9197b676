"""What a trained model sees: its filters, maps, features and mistakes, as arrays.

Nothing here draws, and nothing asks a data set for images: they are handed in. All functions leave a
model in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from trainables.data import decoding, images, preprocessing
from trainables.data.dataset import Part, SearchData
from trainables.data.input_spec import InputSpec
from trainables.hyperparameters import Config
from trainables.trainable import Trainable, TransferModel

Array = NDArray[Any]

N_MISTAKES = 48
"""Misclassified images that are kept at most."""
THUMBNAIL = 112
"""Pixels that the longer side of a kept image has at most."""
TOP = 3
"""The likeliest classes that are kept of a misclassified image."""
BATCH_SIZE = 64
GREY = (0.299, 0.587, 0.114)
"""The weights of red, green and blue in a grey value (ITU-R BT.601)."""
LEAST = 4
"""Images that t-SNE needs."""
N_COMPONENTS = 30
"""Features are brought to so many principal components before t-SNE, as its paper does."""


class Maps(NamedTuple):
    """What a stage makes of one image."""

    name: str
    values: Array
    """(channels, height, width)."""


def model(trainable: Trainable) -> TransferModel:
    """The model in a trainable; of several folds, that of the first. A ValueError where it has none of stages."""
    first = getattr(trainable, "trainings", (trainable,))[0]
    found = getattr(first, "model", None)
    if not isinstance(found, TransferModel):
        raise ValueError("its trainable has no `model` of named stages (a TransferModel)")
    return found


def filters(model: TransferModel, shape: tuple[int, int, int]) -> Array:
    """The weights of the first layer, (n, channels, height, width), for images of `shape` (channels, height, width).

    Those of the first convolution, or of a linear layer on the pixels. A ValueError where the first layer is neither,
    or looks at images that are neither grey nor red, green and blue.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    first = layers[0] if layers else None
    if isinstance(first, nn.Linear) and first.in_features == prod(shape):
        weights = first.weight.reshape(-1, *shape)
    elif isinstance(first, nn.Conv2d):
        weights = first.weight
    else:
        raise ValueError("the first layer of its model is neither a convolution nor linear on the pixels")
    if weights.shape[1] not in (1, 3):
        raise ValueError(f"the first layer of its model looks at {weights.shape[1]} channels: 1 or 3 can be shown")
    return _array(weights)


def activations(model: TransferModel, stage: str, image: Tensor) -> list[Maps]:
    """The maps of one image (1, channels, height, width) in a stage: before and after its last ReLU, and as it ends.

    Without the first two where the stage has no ReLU on maps, without the last where it ends with that ReLU. A
    ValueError names the stages there are, or says that the stage gives no maps.
    """
    if stage not in model.stages:
        raise ValueError(f"there is no stage {stage!r} (allowed: {', '.join(model.stages)})")
    last: dict[str, Tensor] = {}

    def before(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        last["before ReLU"] = inputs[0].clone()  # a ReLU in place would write over it

    def after(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        last["after ReLU"] = output.clone()

    relus = [module for module in model.stages[stage].modules() if isinstance(module, nn.ReLU)]
    hooks = [hook for relu in relus for hook in _hooked(relu, before, after)]
    model.eval()
    try:
        with torch.inference_mode():
            output = model.run_stages(model.preprocess(image), 0, 1 + list(model.stages).index(stage))
    finally:
        for hook in hooks:
            hook.remove()
    if not (last and torch.equal(last["after ReLU"], output)):
        last[f"after {stage}"] = output
    maps = [Maps(name, _array(values[0])) for name, values in last.items() if values.ndim == 4]
    if not maps:
        raise ValueError(f"stage {stage!r} gives no maps, but a vector: name one before it")
    return maps


def features(model: TransferModel, part: Part) -> Array:
    """What the head sees of the images of a part, flattened: float32, (n, features)."""
    model.eval()
    with torch.inference_mode():
        starts = range(0, len(part), BATCH_SIZE)
        batches = [model.features(part.batch(slice(start, start + BATCH_SIZE))).flatten(1) for start in starts]
    return _array(torch.cat(batches)).astype(np.float32)


def sample(data: SearchData, n: int) -> Part:
    """At most `n` of the images of training and validation, each class in proportion, by a fixed seed."""
    labels = torch.cat([data.train.labels, data.validation.labels])
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    by_class = order[labels[order].argsort(stable=True)]
    n = min(n, len(labels))
    chosen = by_class[torch.arange(n) * len(labels) // n]
    n_train = len(data.train)
    of_train, of_validation = chosen[chosen < n_train], chosen[chosen >= n_train] - n_train
    parts = [
        part.take(at.tolist()) for part, at in ((data.train, of_train), (data.validation, of_validation)) if len(at)
    ]
    return Part(torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts]))


def embedding(features: Array) -> Array:
    """Features (n, m) in the plane by t-SNE, (n, 2), by a fixed seed; a ValueError where they do not differ.

    L. van der Maaten, G. Hinton: Visualizing Data using t-SNE, JMLR 9 (2008). It begins from the first two
    principal components, so that what lies far apart says more than by a random beginning.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    n, n_features = features.shape
    if n < LEAST or n_features < 2:
        raise ValueError(f"{n} images of {n_features} features are too few for t-SNE, which needs {LEAST} of 2")
    if not (features.std(axis=0) > 0).any():
        raise ValueError(f"the features of all {n} images are alike")
    if n_features > N_COMPONENTS:
        features = PCA(min(N_COMPONENTS, n), random_state=0).fit_transform(features)
    perplexity = min(30.0, (n - 1) / 3)
    return np.asarray(TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(features))


def read(path: Path, shape: tuple[int, int, int], config: Config) -> Tensor:
    """The image in a file as a model of images of `shape` sees it: uint8, (1, channels, height, width).

    Brought to its size as `resize` says. A ValueError where it cannot be read, or the size is no square.
    """
    try:
        pixels = np.asarray(decoding.read(path)).transpose(2, 0, 1).copy()
    except OSError as fault:
        raise ValueError(f"cannot be read as an image: {fault}") from fault
    channels, height, width = shape
    if height != width:
        raise ValueError(f"no file can be shown to a model of images of {height}x{width}: only of square ones")
    form = preprocessing.image_format(config, InputSpec(size=height, channels=3))
    image = images.load(Part(torch.from_numpy(pixels)[None], torch.zeros(1, dtype=torch.int64)), form)
    if channels == 1:
        return (image.images * torch.tensor(GREY).reshape(1, 3, 1, 1)).sum(1, keepdim=True).round_().to(torch.uint8)
    return image.images


def mistakes(trainable: Trainable, part: Part, classes: Sequence[str]) -> dict[str, Array] | None:
    """What a trained model gets wrong in a part; None where the trainable has no method `predict`.

    `predict(part)` gives the probability of each class, (n, classes). The wrong images of which it is the surest come
    first:

    images         uint8, (m, channels, height, width), m at most 48, sides at most 112 pixels
    true           the names of their classes, (m,)
    top            the names of the three likeliest classes, (m, 3); two where there are no more
    probabilities  of those, as top, float32
    n_wrong, n     how many images of the part are wrong, of how many
    """
    if not all(callable(getattr(each, "predict", None)) for each in getattr(trainable, "trainings", (trainable,))):
        return None
    probabilities: Tensor = trainable.predict(part).cpu()  # type: ignore[attr-defined]
    labels = part.labels.cpu()
    best, predicted = probabilities.max(dim=1)
    wrong = (predicted != labels).nonzero().squeeze(1)
    shown = wrong[best[wrong].argsort(descending=True, stable=True)][:N_MISTAKES]
    top = probabilities[shown].topk(min(TOP, len(classes)), dim=1)
    names = np.array(classes)
    return {
        "images": _thumbnails(part.batch(shown.to(part.labels.device)).cpu()),
        "true": names[labels[shown].numpy()],
        "top": names[top.indices.numpy()],
        "probabilities": top.values.numpy().astype(np.float32),
        "n_wrong": np.array(len(wrong)),
        "n": np.array(len(part)),
    }


def _thumbnails(pictures: Tensor) -> Array:
    longest = max(pictures.shape[2:])
    values = pictures.float() if pictures.dtype == torch.uint8 else pictures * 255
    if longest > THUMBNAIL and len(pictures):
        sides = [max(1, side * THUMBNAIL // longest) for side in pictures.shape[2:]]
        values = functional.interpolate(values, sides, mode="bilinear", antialias=True)
    return values.round().clamp(0, 255).to(torch.uint8).numpy()


def _hooked(
    relu: nn.ReLU, before: Callable[..., None], after: Callable[..., None]
) -> tuple[torch.utils.hooks.RemovableHandle, ...]:
    return relu.register_forward_pre_hook(before), relu.register_forward_hook(after)


def _array(values: Tensor) -> Array:
    return values.detach().cpu().numpy()
