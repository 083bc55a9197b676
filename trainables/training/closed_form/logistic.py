"""Logistic regression with an L2 penalty, by L-BFGS on all training images at once."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from trainables.training.closed_form.inputs import TrainingSet
from trainables.training.closed_form.linear import LinearFit
from trainables.training.uncompiled_optimizers import LBFGS

HISTORY = 10
"""The number of steps that L-BFGS remembers (D. C. Liu, J. Nocedal, Mathematical Programming 45, 1989)."""
TOLERANCE = 1e-7
"""The largest entry of the gradient at which the regression has converged."""


class Logistic:
    """A multinomial logistic regression of a training set, in iterations.

    It minimises the weighted mean of the cross-entropy in nats plus `l2` times the sum of the squares of `weight`. The
    features are centred and scaled. It starts at 0. Its scores are logits.
    """

    def __init__(self, training: TrainingSet, l2: float, iterations: int) -> None:
        """`iterations` is the number of iterations of L-BFGS in one `fit`."""
        self._training = training
        self._l2 = l2
        shape, device = (training.n_classes, training.inputs.width + 1), training.labels.device
        self._parameters = torch.zeros(shape, dtype=torch.float64, device=device, requires_grad=True)
        """(n_classes, width + 1): the weights, and the bias in the last column."""
        self._optimizer = LBFGS(
            [self._parameters],
            max_iter=iterations,
            max_eval=2 * iterations + 10,
            tolerance_grad=TOLERANCE,
            tolerance_change=0.0,
            history_size=HISTORY,
            line_search_fn="strong_wolfe",
        )

    def fit(self) -> LinearFit:
        """Go on for some iterations, or until the regression has converged, and return the classifier."""
        self._optimizer.step(self._loss_and_gradient)
        parameters = self._parameters.detach().clone()
        return LinearFit(parameters[:, :-1], parameters[:, -1], None)

    def state_dict(self) -> dict[str, Any]:
        """Return the parameters and the state of L-BFGS. The tensors are not copies."""
        return {"parameters": self._parameters.detach(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a state that `state_dict` returned. `state` is not modified."""
        with torch.no_grad():
            self._parameters.copy_(state["parameters"])
        self._optimizer.load_state_dict(deepcopy(state["optimizer"]))

    def _loss_and_gradient(self) -> Tensor:
        """Return the loss, and set the gradient. The images are computed in chunks, so the gradient is explicit."""
        with torch.no_grad():
            weight, bias = self._parameters[:, :-1], self._parameters[:, -1]
            loss = self._l2 * weight.square().sum()
            gradient = torch.cat([2 * self._l2 * weight, torch.zeros_like(bias)[:, None]], dim=1)
            for index, features in self._training.chunks():
                labels, weights = self._training.labels[index], self._training.weights[index] / len(self._training)
                logs = (features @ weight.T + bias).log_softmax(dim=1)
                loss -= weights @ logs.gather(1, labels[:, None]).squeeze(1)
                errors = (logs.exp() - functional.one_hot(labels, self._training.n_classes)) * weights[:, None]
                gradient[:, :-1] += errors.T @ features
                gradient[:, -1] += errors.sum(dim=0)
            self._parameters.grad = gradient
        return loss
