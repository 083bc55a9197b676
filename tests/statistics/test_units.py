"""Groups of images as the independent observations of a mean, against simulations whose truth is known."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from hpo.statistics import (
    Interval,
    TrialValues,
    Units,
    both_spreads,
    chosen,
    difference_of_chosen,
    differing,
    fold_weights,
    joined_groups,
    mean_interval,
    not_apart,
)
from tests.statistics.grouped_images import ERROR, errors_of, groups_of

Groups = NDArray[np.int64]
N_STUDIES = 100


def held(truth: float, interval_of: Callable[[Groups, np.random.Generator], Interval], n_groups: int) -> float:
    """The share of studies whose interval holds the truth."""
    rng = np.random.default_rng(0)
    limits = [interval_of(groups_of(n_groups, 20, rng), rng) for _ in range(N_STUDIES)]
    return float(np.mean([low <= truth <= high for low, high in limits]))


def of_mean(groups: Groups, rng: np.random.Generator, *, knows: bool) -> Interval:
    values = errors_of(groups, 1, rng)[0].astype(np.float64)
    return mean_interval(values, is_share=True, groups=groups if knows else None)


def of_loss(groups: Groups, rng: np.random.Generator, *, knows: bool) -> Interval:
    of_group, own = rng.standard_normal(int(groups.max()) + 1), rng.standard_normal(len(groups))
    losses = np.exp((of_group[groups] + own) / 2 - 0.25)  # their mean is 1
    return mean_interval(losses, is_share=False, groups=groups if knows else None)


def of_seeds(groups: Groups, rng: np.random.Generator, *, knows: bool) -> Interval:
    values = errors_of(groups, 3 if knows else 1, rng).astype(np.float64)  # one seed has only the spread over images
    return both_spreads(values, is_share=True, groups=groups if knows else None)


def of_chosen(groups: Groups, rng: np.random.Generator, *, knows: bool) -> Interval:
    errors = errors_of(groups, 20, rng)
    study = TrialValues(errors, None, groups=groups if knows else None)
    return chosen(study, int(errors.mean(axis=1).argmin()), rng, is_share=True).interval


def of_difference(groups: Groups, rng: np.random.Generator, *, knows: bool, is_paired: bool) -> Interval:
    errors = errors_of(groups, 8, rng)
    first, second = (TrialValues(part, None, groups=groups if knows else None) for part in (errors[:6], errors[6:]))
    return difference_of_chosen(first, second, rng, is_share=True, is_paired=is_paired).interval


@pytest.mark.parametrize("n_groups", [20, 40])
@pytest.mark.parametrize(
    ("interval_of", "truth"), [(of_mean, ERROR), (of_loss, 1.0), (of_seeds, ERROR), (of_chosen, ERROR)]
)
def test_the_interval_holds_the_truth_of_grouped_images_where_that_of_single_images_does_not(
    interval_of: Callable[..., Interval], truth: float, n_groups: int
) -> None:
    assert held(truth, lambda groups, rng: interval_of(groups, rng, knows=True), n_groups) >= 0.91
    assert held(truth, lambda groups, rng: interval_of(groups, rng, knows=False), n_groups) <= 0.75


@pytest.mark.parametrize(
    ("n_groups", "error", "alike"), [(20, 0.02, 0.3), (30, 0.02, 0.3), (10, 0.1, 0.2), (5, 0.1, 0.1)]
)
def test_the_interval_of_rare_errors_in_few_groups_holds_the_truth(n_groups: int, error: float, alike: float) -> None:
    """`alike` is the correlation of the images of a group, whose shares of errors have a Beta distribution."""
    rng, scale = np.random.default_rng(0), 1 / alike - 1

    def interval_of_errors() -> Interval:
        shares = np.repeat(rng.beta(error * scale, (1 - error) * scale, n_groups), 20)
        values = (rng.random(len(shares)) < shares).astype(np.float64)
        return mean_interval(values, is_share=True, groups=np.repeat(np.arange(n_groups), 20))

    limits = [interval_of_errors() for _ in range(400)]
    assert np.mean([low <= error <= high for low, high in limits]) >= 0.93


def test_one_error_more_does_not_make_an_interval_much_narrower() -> None:
    groups, errors = np.repeat(np.arange(20), 20), np.zeros(400)
    without = mean_interval(errors, is_share=True, groups=groups)
    errors[0] = 1
    with_one = mean_interval(errors, is_share=True, groups=groups)
    assert with_one.high >= without.high
    even = np.tile(np.arange(20) < 2, 20).astype(np.float64)  # two errors in each group
    low, high = mean_interval(even, is_share=True, groups=groups)
    alone = mean_interval(even, is_share=True)
    assert (low, high) == pytest.approx(alone, abs=0.01)


@pytest.mark.parametrize("n_groups", [5, 10])
def test_the_truly_best_of_many_trials_is_rarely_lost_with_few_groups(n_groups: int) -> None:
    rng, groups = np.random.default_rng(0), np.repeat(np.arange(n_groups), 10)
    kept = []
    for _ in range(60):
        of_groups, own = rng.standard_normal((50, n_groups)), rng.standard_normal((50, len(groups)))
        losses = (5 + of_groups[:, groups] + own).astype(np.float32)
        kept.append(not_apart(losses, int(losses.mean(axis=1).argmin()), rng, is_share=False, groups=groups)[0])
    assert np.mean(kept) >= 0.93


def test_trials_that_are_far_worse_in_each_group_are_told_apart() -> None:
    rng, groups = np.random.default_rng(0), np.repeat(np.arange(8), 100)
    errors = np.zeros((50, 800), np.float32)
    errors[1:] = rng.random((49, 800)) < 0.9
    assert not_apart(errors, 0, rng, is_share=True, groups=groups).sum() == 1


def test_the_difference_of_two_studies_holds_the_truth_of_grouped_images_too() -> None:
    def paired(groups: Groups, rng: np.random.Generator, *, knows: bool) -> Interval:
        return of_difference(groups, rng, knows=knows, is_paired=True)

    assert held(0.0, lambda groups, rng: paired(groups, rng, knows=True), 40) >= 0.91
    assert held(0.0, lambda groups, rng: paired(groups, rng, knows=False), 40) <= 0.75
    assert held(0.0, lambda groups, rng: of_difference(groups, rng, knows=True, is_paired=False), 40) >= 0.9


def test_equally_good_trials_are_told_apart_only_if_their_groups_are_ignored() -> None:
    rng, kept, kept_as_single = np.random.default_rng(0), [], []
    for _ in range(N_STUDIES):
        groups = groups_of(30, 20, rng)
        errors = errors_of(groups, 6, rng)
        best = int(errors.mean(axis=1).argmin())
        kept.append(not_apart(errors, best, rng, is_share=True, groups=groups)[-1])  # the last stands for them
        kept_as_single.append(not_apart(errors, best, rng, is_share=True)[-1])
    assert np.mean(kept) >= 0.93
    assert np.mean(kept_as_single) <= 0.85


def test_equally_good_tested_trials_rarely_differ_with_groups() -> None:
    rng, named, named_as_single = np.random.default_rng(0), [], []
    for _ in range(N_STUDIES):
        groups = groups_of(30, 10, rng)
        trials = [each[None].astype(np.float64) for each in errors_of(groups, 3, rng)]
        named.append(bool(differing(trials, groups)))
        named_as_single.append(bool(differing(trials)))
    assert np.mean(named) <= 0.08
    assert np.mean(named_as_single) >= 0.2


def test_groups_of_one_image_are_no_groups() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(60)
    assert mean_interval(values, is_share=False, groups=rng.permutation(60)) == mean_interval(values, is_share=False)
    assert float(Units.of(None, 60).variance_of_mean(values)) == pytest.approx(values.var(ddof=1) / 60)


def test_copies_of_each_image_say_nothing_new() -> None:
    errors = (np.random.default_rng(0).random(50) < 0.2).astype(np.float64)
    once = mean_interval(errors, is_share=True)
    copied = mean_interval(np.repeat(errors, 7), is_share=True, groups=np.repeat(np.arange(50), 7))
    assert tuple(copied) == pytest.approx(tuple(once))
    assert tuple(mean_interval(np.zeros(350), is_share=True, groups=np.repeat(np.arange(50), 7))) == pytest.approx(
        tuple(mean_interval(np.zeros(50), is_share=True))
    )


def test_the_parts_of_a_repeated_choice_cut_no_group() -> None:
    rng = np.random.default_rng(0)
    groups = groups_of(12, 5, rng)
    # Each trial is right on the images of one group alone, so only a choice that has seen this group takes it.
    errors = (groups[None] != np.arange(12)[:, None]).astype(np.float32)
    best = int(errors.mean(axis=1).argmin())
    assert chosen(TrialValues(errors, None, groups=groups), best, rng, is_share=True).estimate == 1
    assert chosen(TrialValues(errors, None), best, rng, is_share=True).estimate < 1


def test_one_group_says_nothing() -> None:
    errors, rng = np.array([[0.0, 1.0, 0.0], [1.0, 1.0, 0.0]], np.float32), np.random.default_rng(0)
    one = np.zeros(3, np.int64)
    assert mean_interval(errors[0].astype(np.float64), is_share=True, groups=one) == Interval(0, 1)
    assert not_apart(errors, 0, rng, is_share=True, groups=one).all()
    study = TrialValues(errors, None, groups=one)
    assert tuple(chosen(study, 0, rng, is_share=True).interval) == (0, 1)
    found = difference_of_chosen(study, study, rng, is_share=True, is_paired=True)
    assert found.interval == (-np.inf, np.inf)
    assert tuple(both_spreads(errors.astype(np.float64), is_share=True, groups=one)) == (0, 1)


def test_a_group_is_needed_for_each_image() -> None:
    with pytest.raises(ValueError, match="3 images need a group each, but there are 2 groups"):
        Units.of(np.zeros(2, np.int64), 3)


def test_a_constant_loss_has_no_variance_over_groups_with_folds_of_any_size() -> None:
    groups = np.repeat(np.arange(8), [5, 60, 10, 5, 30, 20, 40, 30])
    folds = np.array([0, 0, 1, 1, 1, 2, 2, 2])[groups]
    weighted = 2 * fold_weights(folds)
    assert weighted.mean() == pytest.approx(2)
    assert float(Units.of(groups, 200, folds).variance_of_mean(weighted)) == pytest.approx(0, abs=1e-20)
    assert float(Units.of(groups, 200).variance_of_mean(weighted)) > 0.01
    low, high = mean_interval(weighted, is_share=False, groups=groups, folds=folds)
    assert high - low < 1e-9
    study = TrialValues(weighted[None].astype(np.float32), None, groups=groups, folds=folds)
    low, high = chosen(study, 0, np.random.default_rng(0), is_share=False).interval
    assert high - low < 1e-5


def test_folds_of_grouped_images_are_weighted_when_trials_are_compared() -> None:
    rng, groups = np.random.default_rng(0), np.repeat(np.arange(4), [2, 20, 150, 50])
    folds = groups // 2
    losses = rng.normal(2, 0.1, (2, len(groups)))
    losses[1] += 0.5  # in each image alike
    values = (losses * fold_weights(folds)).astype(np.float32)
    assert not_apart(values, 0, rng, is_share=False, groups=groups, folds=folds).tolist() == [True, False]
    assert not_apart(values, 0, rng, is_share=False, groups=groups).tolist() == [True, True]


def test_equal_folds_have_no_weights() -> None:
    groups, folds = np.repeat(np.arange(6), 5), np.repeat(np.arange(3), 10)
    assert Units.of(groups, 30, folds).weights.tolist() == Units.of(groups, 30).weights.tolist() == [5] * 6


def test_groups_of_two_studies_are_joined_where_they_overlap() -> None:
    first, second = np.array([0, 0, 1, 2, 3, 3]), np.array([7, 8, 8, 5, 4, 4])
    joined = joined_groups(first, second)
    assert joined is not None
    assert np.unique(joined, return_inverse=True)[1].tolist() in ([0, 0, 0, 1, 2, 2], [0, 0, 0, 2, 1, 1])
    assert joined_groups(None, second) is second
    assert joined_groups(first, None) is first
    assert joined_groups(None, None) is None


def test_the_difference_of_two_studies_takes_images_as_independent_only_if_both_groupings_do() -> None:
    errors = (np.random.default_rng(0).random((2, 80)) < 0.3).astype(np.float32)

    def interval_of_groups(first: Groups, second: Groups) -> Interval:
        studies = [TrialValues(errors[:1], None, groups=first), TrialValues(errors[1:], None, groups=second)]
        rng = np.random.default_rng(1)
        return difference_of_chosen(studies[0], studies[1], rng, is_share=True, is_paired=True).interval

    rows, columns, halves = np.arange(80) // 10, np.arange(80) % 8, np.arange(80) // 20
    assert interval_of_groups(rows, columns) == (-np.inf, np.inf)  # all images are linked
    assert interval_of_groups(rows, halves) == interval_of_groups(halves, halves)  # each half holds two whole rows
    assert interval_of_groups(rows, halves) != interval_of_groups(rows, rows)
