"""Real searches whose truth is known from many images, for `benchmarks/honesty.py --real`.

Each search trains softmax regressions with random hyperparameters on a small part of the images, and judges them on a
small validation part at the best epoch of each, or at the last. The truth is the error of these models on all images
that are left: more than a thousand for the digits, and more than two thousand features of Caltech-101 by ResNet-18, of
its largest classes.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.honesty import judged
from benchmarks.report import note
from benchmarks.study_outcomes import Cell, Outcome
from hpo.statistics import TrialValues

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
N_TRIALS, N_VALIDATION = (10, 40), (60, 200)
EPOCHS = ("best", "last")
"""The epoch that a trial is judged by. The choice of the best one adds to the optimism, and is repeated, too."""
N_CLASSES = 30
"""The number of classes of Caltech-101: those with the most images."""
N_EPOCHS, N_STEPS = 12, 4
"""The epochs of a training, and the steps in each. A step uses all training images."""
MOMENTUM = 0.9
N_STUDIES = {"digits": 100, "caltech101": 25}
SMALL_STUDIES = 10


class Images(NamedTuple):
    """The images of a data set, or their features."""

    values: Floats
    """(n_images, n_features)."""
    labels: Integers
    n_training: int
    """The number of images that a search trains on."""


class Trained(NamedTuple):
    """The models of the trials of a search after each epoch that may be chosen."""

    validation: TrialValues
    """Whether each validation image is misclassified, (n_rows, n_validation), and its cross-entropy, which breaks ties.

    The rows are the epochs of the first trial in their order, then those of the second one, and so on.
    """
    true_errors: NDArray[np.float64]
    """(n_rows,)."""


def digits() -> Images:
    """Return the 1,797 digits of scikit-learn."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return Images((images / 16).astype(np.float32), labels.astype(np.int64), 150)


def caltech101(data: str | None) -> Images:
    """Return the features of the largest classes of Caltech-101, from hpo's own cache of features."""
    from hpo.record import Settings
    from hpo.record.settings import data_folder
    from hpo.spacefile import find, read
    from hpo.training import Builder, Job
    from trainables.features import feature_cache, fingerprint

    space = read(find("caltech101_resnet18_probe"))
    builder = Builder(Job(space, 0, data_folder(data or Settings().data)), "cpu")
    config = {**space.fixed, "optimizer": "sgd", "lr": 0.01, "weight_decay": 0.0, "momentum": 0.9, "batch_size": 64}
    model = builder.build(config, 0).model  # type: ignore[attr-defined]
    (parts, *_) = builder.search_data(config)
    assert parts is not None, "Caltech-101 has parts"
    n_stages = model.n_frozen_first
    values, labels = [], []
    for part in (parts.train, parts.validation):
        found = feature_cache.SHARED.get(model, part, n_stages, fingerprint.of_stages(model, n_stages))
        values.append((found.values if found.rows is None else found.values[found.rows]).numpy())
        labels.append(part.labels.numpy())
    every, of_every = np.concatenate(values).reshape(sum(map(len, values)), -1), np.concatenate(labels)
    largest = np.argsort(-np.bincount(of_every), kind="stable")[:N_CLASSES]
    is_in = np.isin(of_every, largest)
    numbers = np.searchsorted(np.sort(largest), of_every[is_in])
    return Images(_scaled(every[is_in]), numbers.astype(np.int64), 240)


def _scaled(values: Floats) -> Floats:
    """Features with mean 0, and with a norm of 1 on average, so that one range of learning rates suits all."""
    centred = values - values.mean(axis=0)
    result: Floats = centred / np.linalg.norm(centred, axis=1).mean() * np.float32(3)
    return result


def trained(images: Images, n_trials: int, n_validation: int, epoch: str, rng: np.random.Generator) -> Trained:
    """Train the trials of a search, and judge the models after each epoch, or after the last one."""
    values, labels, n_training = images
    order = rng.permutation(len(labels))
    train, validation, rest = np.split(order, [n_training, n_training + n_validation])
    n_classes = int(labels.max()) + 1
    rates = (10 ** rng.uniform(-2, 1, size=(n_trials, 1, 1))).astype(np.float32)
    decays = (10 ** rng.uniform(-5, -1, size=(n_trials, 1, 1))).astype(np.float32)
    weights = rng.standard_normal((n_trials, values.shape[1], n_classes)).astype(np.float32) * np.float32(0.1)
    speed = np.zeros_like(weights)
    errors, losses, truths = [], [], []
    for number in range(1, N_EPOCHS + 1):
        for _ in range(N_STEPS):
            gradient = _gradient(weights, values[train], labels[train]) + decays * weights
            speed = np.float32(MOMENTUM) * speed - rates * gradient
            weights = weights + speed
        if epoch == "last" and number < N_EPOCHS:
            continue
        wrong, loss = _judge(weights, values[validation], labels[validation])
        errors.append(wrong > 0)
        losses.append(loss)
        truths.append(_judge(weights, values[rest], labels[rest])[0].mean(axis=1, dtype=np.float64))
    numbers = np.repeat(np.arange(n_trials), len(errors))
    of_errors = np.stack(errors, axis=1).reshape(len(numbers), -1)
    of_losses = np.stack(losses, axis=1).reshape(len(numbers), -1)
    return Trained(TrialValues(of_errors, of_losses, numbers), np.stack(truths, axis=1).reshape(-1))


def _gradient(weights: Floats, values: Floats, labels: Integers) -> Floats:
    """The gradient of the mean cross-entropy by the weights (n_trials, n_features, n_classes)."""
    logits = values @ weights
    logits -= logits.max(axis=2, keepdims=True)
    powers = np.exp(logits)
    powers /= powers.sum(axis=2, keepdims=True)
    powers[:, np.arange(len(labels)), labels] -= 1
    result: Floats = values.T @ powers / np.float32(len(labels))
    return result


def _judge(weights: Floats, values: Floats, labels: Integers) -> tuple[Floats, Floats]:
    """Whether each image is misclassified, and its cross-entropy, (n_trials, n_images) each."""
    logits = values @ weights
    logits -= logits.max(axis=2, keepdims=True)
    own = logits[:, np.arange(len(labels)), labels]
    loss = np.log(np.exp(logits).sum(axis=2)) - own
    return (logits.argmax(axis=2) != labels).astype(np.float32), loss.astype(np.float32)


def searches(images: Images, n_trials: int, n_validation: int, epoch: str, n_studies: int) -> list[Outcome]:
    """Run searches of one kind, and compare what is said of their best trial with its error on the other images."""
    rng = np.random.default_rng([n_trials, n_validation, len(images.labels)])
    found = []
    for _ in range(n_studies):
        study = trained(images, n_trials, n_validation, epoch, rng)
        found.append(judged(study.validation, study.true_errors, rng, is_share=True))
    return found


def cells(pool: ProcessPoolExecutor, data: str | None, at_most: int, *, small: bool) -> list[Cell]:
    """The cells of all real searches. There are `at_most` of each kind.

    Without Caltech-101 in the folder of the data, there are only those of the digits.
    """
    sets = {"digits": digits()}
    if not small and (Path(data) if data else _default()).joinpath("caltech101").is_dir():
        sets["caltech101"] = caltech101(data)
        note("the features of Caltech-101 are there")
    waiting = []
    for (name, images), epoch, n_trials, n_validation in product(sets.items(), EPOCHS, N_TRIALS, N_VALIDATION):
        n_studies = min(SMALL_STUDIES if small else N_STUDIES[name], at_most)
        job = pool.submit(searches, images, n_trials, n_validation, epoch, n_studies)
        waiting.append((n_trials, n_validation, f"error on {name} at the {epoch} epoch", job))
    return [Cell(n_trials, n_images, kind, job.result()) for n_trials, n_images, kind, job in waiting]


def _default() -> Path:
    """The folder of the data sets."""
    from hpo.record import Settings
    from hpo.record.settings import data_folder

    return data_folder(Settings().data)
