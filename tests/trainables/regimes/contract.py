"""What every regime must keep. A regime's test subclasses RegimeContract and says what is its own."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import deepcopy
from io import BytesIO
from types import ModuleType
from typing import Any, ClassVar

import pytest
import torch

from tests.trainables import toys
from tests.trainables.declarations import Recording, declared
from tests.trainables.states import identical
from trainables.hyperparameters import Config
from trainables.seeding import seed_everything
from trainables.trainable import Trainable, TransferModel


class RegimeContract(ABC):
    regime: ModuleType
    """The module under test."""
    config: ClassVar[Config]
    """A configuration that learns the toy within a few epochs."""
    configs: ClassVar[tuple[Config, ...]]
    """Configurations that together read every key that the regime declares."""

    @abstractmethod
    def trained(self, model: TransferModel) -> set[str]:
        """The names of the parameters that the regime says it trains."""

    def build(self, *, seed: int = 0, model: TransferModel | None = None, config: Config | None = None) -> Trainable:
        seed_everything(seed)
        trainable: Trainable = self.regime.build(
            self.config if config is None else config, model or toys.model(), toys.data(), "cpu"
        )
        return trainable

    def test_a_few_epochs_lower_both_losses(self) -> None:
        trainable = self.build()
        epochs = [trainable.step() for _ in range(5)]
        assert epochs[-1]["train_loss"] < 0.7 * epochs[0]["train_loss"]
        assert epochs[-1]["val_loss"] < 0.7 * epochs[0]["val_loss"]
        assert epochs[-1]["val_accuracy"] > 0.9

    def test_a_step_reports_losses_and_accuracies_as_plain_numbers(self) -> None:
        metrics = self.build().step()
        assert {"val_loss", "val_accuracy", "train_loss", "train_accuracy"} <= metrics.keys()
        assert all(type(value) is float for value in metrics.values())
        assert all(0 <= metrics[key] <= 1 for key in ("val_accuracy", "train_accuracy"))

    def test_exactly_the_stated_parameters_change(self) -> None:
        seed_everything(0)
        model = toys.model()
        before = deepcopy(dict(model.named_parameters()))
        trainable = self.build(model=model)
        trainable.step()
        changed = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
        assert changed == self.trained(model)

    def test_training_that_stops_and_goes_on_is_exactly_training_that_never_stopped(self) -> None:
        unbroken = self.build(seed=1)
        before = [unbroken.step() for _ in range(2)]
        file = _saved(unbroken)
        after = [unbroken.step() for _ in range(3)]

        resumed = self.build(seed=2)
        resumed.step()
        torch.rand(100)
        resumed.load_state_dict(_loaded(file))
        assert [resumed.step() for _ in range(3)] == after
        assert identical(resumed.state_dict(), unbroken.state_dict())
        assert before[0] != after[0]

    def test_going_on_leaves_the_loaded_state_as_it_was(self) -> None:
        first = self.build(seed=1)
        first.step()
        state = _loaded(_saved(first))
        kept = deepcopy(state)
        second = self.build(seed=2)
        second.load_state_dict(state)
        second.step()
        assert identical(state, kept)

    def test_the_state_survives_a_file_that_is_read_with_weights_only(self) -> None:
        trainable = self.build()
        trainable.step()
        assert identical(_loaded(_saved(trainable)), trainable.state_dict())

    def test_the_same_seed_gives_the_same_training_and_another_seed_another(self) -> None:
        runs = []
        for seed in (3, 3, 4):
            trainable = self.build(seed=seed)
            runs.append([trainable.step() for _ in range(2)])
        assert runs[0] == runs[1] != runs[2]

    def test_random_numbers_drawn_between_steps_change_nothing(self) -> None:
        quiet, disturbed = self.build(seed=5), self.build(seed=5)
        expected = [quiet.step() for _ in range(2)]
        first = disturbed.step()
        seed_everything(99)
        assert [first, disturbed.step()] == expected

    def test_evaluating_changes_nothing(self) -> None:
        plain, evaluated = self.build(seed=6), self.build(seed=6)
        plain.step()
        evaluated.step()
        before = deepcopy(evaluated.state_dict())
        evaluated.evaluate(toys.part(30, seed=7))
        assert identical(evaluated.state_dict(), before)
        assert evaluated.step() == plain.step()

    def test_evaluating_the_validation_part_gives_the_figures_of_the_last_step(self) -> None:
        trainable = self.build()
        metrics = trainable.step()
        result = trainable.evaluate(toys.data().validation)
        assert result == {"loss": metrics["val_loss"], "accuracy": metrics["val_accuracy"]}

    def test_every_key_that_is_read_is_declared_and_every_declared_key_is_read(self) -> None:
        read: set[str] = set()
        for config in self.configs:
            recording = Recording(config)
            self.build(config=recording).step()
            read |= recording.read
        assert read == set(declared(self.regime.__name__))

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    def test_a_training_on_cuda_goes_on_there_and_its_state_loads_on_the_cpu(self) -> None:
        seed_everything(0)
        on_cuda: Trainable = self.regime.build(self.config, toys.model(), toys.data(), "cuda")
        on_cuda.step()
        file = _saved(on_cuda)
        expected = on_cuda.evaluate(toys.data().validation)
        on_cuda.load_state_dict(_loaded(file))
        assert on_cuda.step()["train_loss"] < 10
        on_cpu = self.build()
        on_cpu.load_state_dict(_loaded(file))
        assert on_cpu.evaluate(toys.data().validation) == pytest.approx(expected, rel=1e-3)


def _saved(trainable: Trainable) -> bytes:
    file = BytesIO()
    torch.save(trainable.state_dict(), file)
    return file.getvalue()


def _loaded(file: bytes) -> dict[str, Any]:
    state: Mapping[str, Any] = torch.load(BytesIO(file), map_location="cpu", weights_only=True)
    return dict(state)
