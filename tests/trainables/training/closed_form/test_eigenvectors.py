from __future__ import annotations

import torch
from torch import Tensor

from trainables.training.closed_form import LDA, Inputs, Ridge, TrainingSet
from trainables.training.closed_form.eigenvectors import SHARED, EigenvectorCache

N_BYTES = 8 * 6 * 6
"""The size of a matrix of 6 features."""


def covariance(seed: int) -> Tensor:
    features = torch.randn(20, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return features.T @ features


def training_set(weights: Tensor | None = None) -> TrainingSet:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(30, 6, generator=generator)
    return TrainingSet(Inputs(features), torch.arange(30) % 3, 3, weights)


def test_eigenvectors_of_equal_matrices_are_computed_once_and_are_those_of_torch() -> None:
    cache = EigenvectorCache(10 * N_BYTES)
    found = cache.get(covariance(0))
    assert cache.get(covariance(0).T.contiguous().T).vectors is found.vectors
    assert cache.get(covariance(1)).vectors is not found.vectors
    expected = torch.linalg.eigh(covariance(0))
    assert torch.equal(found.values, expected.eigenvalues)
    assert torch.equal(found.vectors, expected.eigenvectors)


def test_the_least_recently_used_are_dropped_beyond_the_limit() -> None:
    cache = EigenvectorCache(2 * N_BYTES)
    first, second = cache.get(covariance(0)), cache.get(covariance(1))
    assert cache.get(covariance(0)).vectors is first.vectors
    cache.get(covariance(2))
    assert cache.get(covariance(0)).vectors is first.vectors
    assert cache.get(covariance(1)).vectors is not second.vectors


def test_a_matrix_larger_than_the_limit_is_not_kept_and_drops_no_other() -> None:
    cache = EigenvectorCache(N_BYTES)
    kept = cache.get(covariance(0))
    large = torch.eye(7, dtype=torch.float64)
    assert cache.get(large).vectors is not cache.get(large).vectors
    assert cache.get(covariance(0)).vectors is kept.vectors


def test_a_second_classifier_of_the_same_features_equals_the_first_to_the_last_digit() -> None:
    for build, strength in ((Ridge, 0.5), (LDA, 0.25)):
        first, second = (build(training_set()).fit(strength) for _ in range(2))
        assert torch.equal(first.weight, second.weight)
        assert first.left_out is not None
        assert second.left_out is not None
        assert torch.equal(first.left_out, second.left_out)


def test_other_class_weights_have_other_eigenvectors() -> None:
    plain, weighted = (training_set(weights).covariance for weights in (None, torch.tensor([1.0, 2.0, 4.0])))
    assert not torch.equal(SHARED.get(plain).vectors, SHARED.get(weighted).vectors)
