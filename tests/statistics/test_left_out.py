import numpy as np
import pytest
from numpy.typing import NDArray

from hpo.statistics import at_most, left_out_values, mean_interval, per_image

Integers = NDArray[np.int64]
RNG = np.random.default_rng(0)
LABELS = RNG.integers(3, size=90)
LOGITS = RNG.standard_normal((90, 3)) + 1.5 * np.eye(3)[LABELS]
ONE_FOLD = np.zeros(90, np.int64)


def values_of_ours(objective: str, rows: Integers, folds: Integers) -> NDArray[np.float64]:
    values = per_image(objective, LOGITS[rows], LABELS[rows], folds)
    assert values is not None
    return values


@pytest.mark.parametrize("folds", [ONE_FOLD, np.arange(90) % 4])
def test_a_mean_over_images_gets_the_values_of_the_images(folds: Integers) -> None:
    def loss(rows: Integers) -> float:
        return float(values_of_ours("val_loss", rows, ONE_FOLD[rows]).mean())

    found = left_out_values(loss, np.arange(90), folds)
    assert found == pytest.approx(values_of_ours("val_loss", np.arange(90), folds))


@pytest.mark.parametrize("objective", ["val_balanced_error", "val_f1_error", "val_auroc_error"])
def test_another_function_gets_about_the_spread_of_its_influences(objective: str) -> None:
    def compute(rows: Integers) -> float:
        return float(values_of_ours(objective, rows, ONE_FOLD[rows]).mean())

    found, known = left_out_values(compute, np.arange(90), ONE_FOLD), values_of_ours(objective, np.arange(90), ONE_FOLD)
    assert found.mean() == pytest.approx(known.mean())
    assert found.std() == pytest.approx(known.std(), rel=0.1)


def test_a_group_has_the_mean_of_its_images() -> None:
    values, groups = RNG.random(90), np.repeat(np.arange(30), 3)
    found = left_out_values(lambda rows: float(values[rows].mean()), groups, ONE_FOLD)
    assert found == pytest.approx(np.repeat(values.reshape(30, 3).mean(axis=1), 3))
    of_groups = mean_interval(found, is_share=True, groups=groups)
    assert tuple(of_groups) == pytest.approx(tuple(mean_interval(values, is_share=True, groups=groups)))


def test_the_only_group_has_the_value_of_the_function() -> None:
    assert left_out_values(len, ONE_FOLD[:5], ONE_FOLD[:5]).tolist() == [5] * 5


def test_groups_are_joined_within_their_fold_until_they_are_few() -> None:
    groups, folds = np.repeat(np.arange(500), 2), np.repeat(np.arange(5), 200)
    joined = at_most(20, groups, 1000, folds)
    assert len(np.unique(joined)) == 20
    assert len(np.unique(np.stack([joined, folds]), axis=1)[0]) == 20
    assert len(np.unique(np.stack([joined, groups]), axis=1)[0]) == 500
    assert (joined == at_most(20, groups, 1000, folds)).all()


def test_few_groups_stay_as_they_are() -> None:
    assert at_most(200, None, 90, ONE_FOLD).tolist() == list(range(90))
    assert at_most(200, np.array([7, 7, 3]), 3, ONE_FOLD[:3]).tolist() == [1, 1, 0]
