"""Which trials cannot be told apart from the best, against simulations whose truth is known."""

import numpy as np
import pytest

from benchmarks.simulated_studies import simulated
from hpo.statistics import not_apart


@pytest.mark.parametrize(("n_trials", "n_images", "n_flipped"), [(2, 100, 3.0), (10, 100, 1.5), (8, 300, 3.0)])
def test_the_truly_best_of_trials_that_answer_almost_alike_is_kept(
    n_trials: int, n_images: int, n_flipped: float
) -> None:
    rng, kept = np.random.default_rng(7), []
    for _ in range(200):
        is_wrong = rng.random(n_images) < 0.05
        is_flipped = rng.random((n_trials, n_images)) < n_flipped / n_images
        errors = (is_wrong ^ is_flipped).astype(np.float32)
        best = int(errors.mean(axis=1).argmin())
        kept.append(not_apart(errors, best, rng, is_share=True)[-1])  # all are equally good: the last stands for them
    assert np.mean(kept) >= 0.95


def test_the_exact_test_decides_where_few_images_differ() -> None:
    errors = np.zeros((2, 112), np.float32)
    errors[1, :4] = 1  # the chance of four of four is 1 / 16
    assert not_apart(errors, 0, np.random.default_rng(0), is_share=True).tolist() == [True, True]
    errors[1, :7] = 1  # 1 / 128
    assert not_apart(errors, 0, np.random.default_rng(0), is_share=True).tolist() == [True, False]


def test_the_truly_best_trial_is_among_those_that_cannot_be_told_apart() -> None:
    rng = np.random.default_rng(2)
    kept, n_near = [], []
    for _ in range(150):
        study = simulated(20, 100, "spread", 0.3, rng)
        near = not_apart(study.errors, int(study.errors.mean(axis=1).argmin()), rng, is_share=True)
        kept.append(bool(near[int(study.true_errors.argmin())]))
        n_near.append(int(near.sum()))
    assert np.mean(kept) >= 0.93
    assert np.mean(n_near) < 12


def test_trials_that_answer_alike_cannot_be_told_apart() -> None:
    errors = np.tile((np.random.default_rng(0).random(50) < 0.3).astype(np.float32), (3, 1))
    assert not_apart(errors, 0, np.random.default_rng(0), is_share=True).all()
    assert not_apart(errors[:, :1], 0, np.random.default_rng(0), is_share=True).all()


def test_a_small_paired_difference_is_found_where_the_intervals_overlap() -> None:
    hard = np.random.default_rng(0).random(400) < 0.3
    worse = hard.copy()
    worse[np.flatnonzero(~hard)[:15]] = True  # wrong on the same images, and on 15 more
    errors = np.stack([hard, worse]).astype(np.float32)
    assert not_apart(errors, 0, np.random.default_rng(0), is_share=True).tolist() == [True, False]
