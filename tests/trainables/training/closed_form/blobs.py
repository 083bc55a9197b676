"""Features of classes that overlap: normal distributions around random means."""

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.training.closed_form import Inputs, TrainingSet


def blobs(n: int = 60, width: int = 5, n_classes: int = 3, *, seed: int = 0, spread: float = 1.0) -> TrainingSet:
    """`n` images with features of several sizes and a mean that is not 0. Classes have different numbers of images."""
    generator = torch.Generator().manual_seed(seed)
    labels = (torch.rand(n, generator=generator).square() * n_classes).long().clamp(max=n_classes - 1)
    labels[:n_classes] = torch.arange(n_classes)
    means = spread * torch.randn(n_classes, width, generator=generator)
    sizes = torch.linspace(0.5, 2, width)
    features = (means[labels] + torch.randn(n, width, generator=generator)) * sizes + 3
    return TrainingSet(Inputs(features), labels, n_classes)


def weighted(training: TrainingSet) -> TrainingSet:
    """The same images with class weights."""
    return TrainingSet(training.inputs, training.labels, training.n_classes, torch.tensor([1.0, 2.5, 0.3]))


def vectors(training: TrainingSet) -> NDArray[np.float64]:
    """The centred and scaled features of all images, (n, width)."""
    return np.concatenate([features.numpy() for _, features in training.chunks()])


def without(training: TrainingSet, index: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The centred and scaled features and the labels of all images but one."""
    keep = np.arange(len(training)) != index
    return vectors(training)[keep], training.labels.numpy()[keep]
