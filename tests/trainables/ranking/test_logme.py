import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize

from trainables.ranking import logme
from trainables.training.closed_form import Inputs


def largest_evidence(features: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    """The logarithm of the density of the targets, maximised over the two precisions by scipy.

    They are normally distributed with the mean 0 and the covariance F F^T / alpha + I / beta.
    """

    def negative(logarithms: NDArray[np.float64]) -> float:
        alpha, beta = np.exp(logarithms)
        covariance = features @ features.T / alpha + np.eye(len(targets)) / beta
        _, determinant = np.linalg.slogdet(covariance)
        fit = targets @ np.linalg.solve(covariance, targets)
        return float(determinant + fit + len(targets) * np.log(2 * np.pi)) / 2

    return -min(
        float(minimize(negative, [start, 1.0], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10}).fun)
        for start in (-2.0, 2.0)
    )


@pytest.mark.parametrize(("n", "width"), [(40, 4), (15, 30)])
def test_it_is_the_mean_over_the_classes_of_the_largest_evidence_per_image(n: int, width: int) -> None:
    generator = torch.Generator().manual_seed(n)
    labels = torch.arange(n) % 3
    features = torch.randn(n, width, generator=generator) + torch.randn(3, width, generator=generator)[labels]
    targets = np.eye(3)[labels]
    evidences = [largest_evidence(features.double().numpy(), targets[:, label]) for label in range(3)]
    assert logme(Inputs(features), labels, 3) == pytest.approx(np.mean(evidences) / n, abs=1e-5)


def test_features_that_tell_the_classes_apart_have_more_evidence_than_noise() -> None:
    labels = torch.arange(60) % 3
    noise = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    informed = torch.cat([noise[:, :2], torch.nn.functional.one_hot(labels, 3) + 0.1 * noise[:, 2:]], dim=1)
    assert logme(Inputs(informed), labels, 3) > logme(Inputs(noise), labels, 3) + 0.5


def test_features_that_explain_everything_have_a_finite_evidence() -> None:
    labels = torch.arange(30) % 3
    assert np.isfinite(logme(Inputs(torch.eye(3)[labels]), labels, 3))
