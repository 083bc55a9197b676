import numpy as np
import pytest
import torch

from hpo.space import OBJECTIVES
from hpo.space.objectives import ERRORS
from hpo.statistics import of_folds, per_image
from hpo.statistics.units import Doubles, Integers
from trainables.training import metrics


def predictions(n: int = 240, n_classes: int = 12, seed: int = 0) -> tuple[np.ndarray, Integers]:
    """float16 logits that are right in some cases, and the labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(n_classes, size=n)
    logits = rng.standard_normal((n, n_classes)) + 1.2 * np.eye(n_classes)[labels]
    return logits.astype(np.float16), labels


def recorded(objective: str, logits: np.ndarray, labels: Integers) -> float:
    """The objective as the training computes it."""
    found = metrics.compute(torch.from_numpy(logits.astype(np.float32))[None], torch.from_numpy(labels))
    if objective == "val_loss":
        return float(found.losses[0])
    names = metrics.names(logits.shape[1])
    return 1 - float(found.values[0, names.index(ERRORS[objective].removeprefix("val_"))])


def values_of(objective: str, logits: np.ndarray, labels: Integers, folds: Integers | None = None) -> Doubles:
    found = per_image(objective, logits, labels, np.zeros_like(labels) if folds is None else folds)
    assert found is not None
    return found


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("n_classes", [2, 12])
def test_the_mean_over_the_images_is_the_objective_that_the_training_records(objective: str, n_classes: int) -> None:
    if objective == "val_top5_error" and n_classes == 2:
        return  # it is not reported for so few classes
    logits, labels = predictions(n_classes=n_classes)
    assert values_of(objective, logits, labels).mean() == pytest.approx(
        recorded(objective, logits, labels), rel=1e-5, abs=1e-6
    )


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_with_folds_the_mean_is_the_mean_of_the_folds(objective: str) -> None:
    logits, labels = predictions()
    folds = np.arange(len(labels)) % 7 // 3  # of different sizes
    values = values_of(objective, logits, labels, folds)
    each = [recorded(objective, logits[folds == fold], labels[folds == fold]) for fold in range(3)]
    assert of_folds(values, folds) == pytest.approx(each, rel=1e-4)
    assert values.mean() == pytest.approx(np.mean(each), rel=1e-4)


def test_without_folds_there_is_no_spread_over_folds() -> None:
    logits, labels = predictions()
    assert of_folds(values_of("val_error", logits, labels), np.zeros_like(labels)) == []


@pytest.mark.parametrize("objective", ["val_balanced_error", "val_f1_error", "val_auroc_error"])
def test_the_spread_of_the_values_is_that_of_the_objective_over_other_images(objective: str) -> None:
    true_spread, estimated = [], []
    for seed in range(200):
        logits, labels = predictions(n=300, n_classes=4, seed=seed)
        true_spread.append(recorded(objective, logits, labels))
        estimated.append(values_of(objective, logits, labels).std() / np.sqrt(300))
    assert np.mean(estimated) == pytest.approx(np.std(true_spread), rel=0.12)


def test_an_objective_of_the_user_has_no_values() -> None:
    logits, labels = predictions()
    assert per_image("my_module:cost", logits, labels, np.zeros_like(labels)) is None


def test_the_auroc_of_one_class_alone_is_not_known() -> None:
    logits, labels = predictions()
    assert np.isnan(values_of("val_auroc_error", logits, np.zeros_like(labels))).all()
