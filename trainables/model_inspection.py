"""Arrays that show what a trained model has learned: filters, activation maps, features, and misclassified images.

These functions draw no figures. They get their images from the caller, and never read a data set. They leave the model
in evaluation mode.
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
"""The largest number of misclassified images that are returned."""
THUMBNAIL_SIDE = 112
"""The largest length of a side of these images, in pixels."""
N_TOP = 3
"""The number of most likely classes that are returned for a misclassified image."""
BATCH_SIZE = 64
GREY = (0.299, 0.587, 0.114)
"""The weights of red, green and blue in a grey value (ITU-R BT.601)."""
N_LEAST = 4
"""The least number of images for t-SNE."""
N_COMPONENTS = 30
"""The number of principal components to which features are reduced before t-SNE, as in its paper."""


class Maps(NamedTuple):
    """The activation maps of one image, with a name that says where in a stage they were taken."""

    name: str
    values: Array
    """(channels, height, width)."""


def model(trainable: Trainable) -> TransferModel:
    """Return the model of a trainable. With several folds, it is the model of the first fold.

    Raises ValueError if the trainable has no TransferModel.
    """
    first_fold = getattr(trainable, "trainings", (trainable,))[0]
    transfer_model = getattr(first_fold, "model", None)
    if not isinstance(transfer_model, TransferModel):
        raise ValueError("its trainable has no `model` of named stages (a TransferModel)")
    return transfer_model


def filters(model: TransferModel, shape: tuple[int, int, int]) -> Array:
    """Return the filters of the first layer, (n, channels, height, width).

    They are the weights of a convolution, or of a linear layer on the pixels of images of `shape` (channels, height,
    width). Raises ValueError if the first layer is neither, or if it does not have 1 or 3 input channels.
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
    """Return the activation maps of one image (1, channels, height, width) in a stage.

    There are up to three: before the last ReLU of the stage, after it, and at the end of the stage. The first two are
    missing if the stage has no ReLU on maps. The third is missing if the stage ends with that ReLU. Raises ValueError
    if there is no such stage, or if the stage has no maps.
    """
    if stage not in model.stages:
        raise ValueError(f"there is no stage {stage!r} (allowed: {', '.join(model.stages)})")
    last: dict[str, Tensor] = {}

    def before(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        last["before ReLU"] = inputs[0].clone()  # an in-place ReLU would overwrite it

    def after(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        last["after ReLU"] = output.clone()

    relus = [module for module in model.stages[stage].modules() if isinstance(module, nn.ReLU)]
    hooks = [hook for relu in relus for hook in _register_hooks(relu, before, after)]
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
    """Return the features that enter the head for the images of a part, flattened: float32, (n, n_features)."""
    model.eval()
    with torch.inference_mode():
        starts = range(0, len(part), BATCH_SIZE)
        batches = [model.features(part.batch(slice(start, start + BATCH_SIZE))).flatten(1) for start in starts]
    return _array(torch.cat(batches)).astype(np.float32)


def sample(data: SearchData, n: int) -> Part:
    """Return at most `n` random images of the training and validation parts, with the same share of each class.

    The seed is fixed, so the same data give the same images.
    """
    labels = torch.cat([data.train.labels, data.validation.labels])
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    by_class = order[labels[order].argsort(stable=True)]
    n = min(n, len(labels))
    chosen = by_class[torch.arange(n) * len(labels) // n]
    n_train = len(data.train)
    chosen_train, chosen_validation = chosen[chosen < n_train], chosen[chosen >= n_train] - n_train
    parts = [
        part.take(indices.tolist())
        for part, indices in ((data.train, chosen_train), (data.validation, chosen_validation))
        if len(indices)
    ]
    return Part(torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts]))


def embedding(features: Array) -> Array:
    """Map features (n, n_features) to points in two dimensions, (n, 2), by t-SNE with a fixed seed.

    L. van der Maaten, G. Hinton: Visualizing Data using t-SNE, JMLR 9 (2008). t-SNE starts from the first two principal
    components. With this start, large distances mean more than with a random one. Raises ValueError if there are too
    few images or features, or if all images have the same features.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    n, n_features = features.shape
    if n < N_LEAST or n_features < 2:
        raise ValueError(f"{n} images of {n_features} features are too few for t-SNE, which needs {N_LEAST} of 2")
    if not (features.std(axis=0) > 0).any():
        raise ValueError(f"the features of all {n} images are alike")
    if n_features > N_COMPONENTS:
        features = PCA(min(N_COMPONENTS, n), random_state=0).fit_transform(features)
    perplexity = min(30.0, (n - 1) / 3)
    return np.asarray(TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(features))


def read(path: Path, shape: tuple[int, int, int], config: Config) -> Tensor:
    """Read an image file for a model that takes images of `shape` (channels, height, width).

    Returns a batch of one image, uint8, (1, channels, height, width). It is decoded and resized as `config` says.
    Raises ValueError if the file cannot be read, or if `shape` is not square.
    """
    try:
        options = preprocessing.decoding_options(config)
        pixels = np.asarray(decoding.read(path, options)).transpose(2, 0, 1).copy()
    except OSError as error:
        raise ValueError(f"cannot be read as an image: {error}") from error
    channels, height, width = shape
    if height != width:
        raise ValueError(f"no file can be shown to a model of images of {height}x{width}: only of square ones")
    image_format = preprocessing.image_format(config, InputSpec(size=height, channels=3))
    part = images.load(Part(torch.from_numpy(pixels)[None], torch.zeros(1, dtype=torch.int64)), image_format)
    if channels == 1:
        return (part.images * torch.tensor(GREY).reshape(1, 3, 1, 1)).sum(1, keepdim=True).round_().to(torch.uint8)
    return part.images


def confusion_counts(probabilities: Tensor, labels: Tensor) -> Array:
    """Return how many images of each class are assigned to each class, int64, (n_classes, n_classes).

    The rows are the true classes, the columns the predicted ones. `probabilities` is (n, n_classes), `labels` (n,).
    """
    n_classes = probabilities.shape[1]
    cells = labels.cpu() * n_classes + probabilities.argmax(dim=1)
    return _array(torch.bincount(cells, minlength=n_classes**2).reshape(n_classes, n_classes))


def misclassified(probabilities: Tensor, part: Part, classes: Sequence[str]) -> dict[str, Array]:
    """Return the images of a part that a trained model misclassifies, the most confident wrong predictions first.

    `probabilities` are those that the model gives the classes, (n, n_classes). The arrays are:

    images         uint8, (m, channels, height, width), m at most 48, sides at most 112 pixels
    true           the names of their true classes, (m,)
    top            the names of the three most likely classes, (m, 3), or (m, 2) if there are only two classes
    probabilities  the probabilities of the classes in `top`, float32
    n_wrong        the number of misclassified images in the part
    n              the number of images in the part
    """
    labels = part.labels.cpu()
    confidence, predicted = probabilities.max(dim=1)
    wrong = (predicted != labels).nonzero().squeeze(1)
    shown = wrong[confidence[wrong].argsort(descending=True, stable=True)][:N_MISTAKES]
    top = probabilities[shown].topk(min(N_TOP, len(classes)), dim=1)
    names = np.array(classes)
    return {
        "images": _thumbnails(part.batch(shown.to(part.labels.device)).cpu()),
        "true": names[labels[shown].numpy()],
        "top": names[top.indices.numpy()],
        "probabilities": top.values.numpy().astype(np.float32),
        "n_wrong": np.array(len(wrong)),
        "n": np.array(len(part)),
    }


def _thumbnails(batch: Tensor) -> Array:
    """Shrink images (n, channels, height, width), uint8 or float of 0..1, to THUMBNAIL_SIDE. Returns uint8."""
    longest = max(batch.shape[2:])
    values = batch.float() if batch.dtype == torch.uint8 else batch * 255
    if longest > THUMBNAIL_SIDE and len(batch):
        sides = [max(1, side * THUMBNAIL_SIDE // longest) for side in batch.shape[2:]]
        values = functional.interpolate(values, sides, mode="bilinear", antialias=True)
    return values.round().clamp(0, 255).to(torch.uint8).numpy()


def _register_hooks(
    relu: nn.ReLU, before: Callable[..., None], after: Callable[..., None]
) -> tuple[torch.utils.hooks.RemovableHandle, ...]:
    return relu.register_forward_pre_hook(before), relu.register_forward_hook(after)


def _array(values: Tensor) -> Array:
    return values.detach().cpu().numpy()
