from abc import ABC, abstractmethod
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from trainables.data.dataset import SearchData
from trainables.trainable import Trainable
from trainables.training.epochs import compute_metrics


class LogitsContract(ABC):
    """The part of the contract of regimes about the logits of their validation."""

    epochs: ClassVar[tuple[int, ...]]

    @abstractmethod
    def data(self) -> SearchData: ...

    @abstractmethod
    def build(self) -> Trainable: ...

    def test_the_logits_that_it_offers_are_those_of_the_metrics(self) -> None:
        trainable: Any = self.build()
        assert trainable.validation_logits is None
        labels = self.data().validation.labels
        for _ in range(sum(self.epochs) + 1):  # at least one epoch of each phase
            metrics = trainable.step()
            logits = trainable.validation_logits
            assert isinstance(logits, Tensor)
            assert logits.shape == (len(labels), len(self.data().classes))
            for name, value in compute_metrics(logits, labels).items():
                assert metrics[f"val_{name}"] == pytest.approx(value, rel=1e-6), name
            losses, predicted = trainable.validation_results
            assert predicted.tolist() == logits.argmax(dim=1).tolist()
            torch.testing.assert_close(losses, functional.cross_entropy(logits, labels, reduction="none"))
            trainable.release_logits()
            assert trainable.validation_logits is None
            assert trainable.validation_results is None
