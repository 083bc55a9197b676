"""What every regime must keep. A regime's test subclasses RegimeContract and says what is its own."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from tests.trainables import toys
from tests.trainables.declarations import Recording, declared
from tests.trainables.regimes.imbalance_contract import ImbalanceContract
from tests.trainables.regimes.logits_contract import LogitsContract
from tests.trainables.regimes.resume_contract import ResumeContract
from tests.trainables.states import identical, loaded, saved
from tests.trainables.watching import counted, modes
from trainables.data.dataset import SearchData
from trainables.features import feature_cache
from trainables.hyperparameters import Config
from trainables.own_metric import OwnMetric
from trainables.seeding import seed_everything
from trainables.trainable import HEAD, Trainable, TransferModel

LEARNS: Config = {"optimizer": "nag", "lr": 0.02, "momentum": 0.9, "batch_size": 16}
"""A configuration that learns the toy within a few epochs."""
EVERY: tuple[Config, ...] = (
    {
        "schedule": "step",
        "step_size": 2,
        "gamma": 0.5,
        "momentum": 0.5,
        "optimizer": "sgd",
        "clip_norm": 1.0,
        "augmentation": "augmix",
    },
    {"schedule": "cosine", "period": 3, "l2": 0.01, "l2_on": "all", "augmentation": "few_shot"},
    {"schedule": "one_cycle", "schedule_epochs": 3, "augmentation": "flip_jitter_rotation", "mixing": "mixup"},
    {"schedule": "wsd", "schedule_epochs": 3, "warmup_steps": 1},
    {"augmentation": "rand_augment", "random_erasing": 0.5, "mixing": "cutmix"},
)
"""What, on top of a configuration, reads every key of a classifier's training."""


def doubt(logits: Tensor, labels: Tensor) -> float:
    """A metric of the user: the mean probability of all classes but that of the label. It changes what it is given."""
    probabilities = logits.softmax(dim=1).gather(1, labels.unsqueeze(1))
    logits.zero_()
    labels.zero_()
    return 1 - probabilities.mean().item()


class RegimeContract(ImbalanceContract, LogitsContract, ResumeContract):
    regime: ModuleType
    """The module under test."""
    config: ClassVar[Config] = LEARNS
    """A configuration that learns the toy within a few epochs."""
    configs: ClassVar[tuple[Config, ...]] = EVERY
    """What, on top of `config`, reads every key that the regime declares."""
    trains: ClassVar[tuple[tuple[str, ...], ...]]
    """The stages (and `head`) that the regime says it trains, in each of its phases."""
    epochs: ClassVar[tuple[int, ...]] = ()
    """The epochs of each phase but the last, with `config`."""
    n_last: ClassVar[int] = 5
    """The epochs of the last phase in which the losses fall well."""
    accuracy: ClassVar[float] = 0.9
    """What the validation accuracy exceeds then."""
    augments: ClassVar[bool] = True
    """Whether the last phase trains on images that are changed at random, where the configuration says so."""
    n_trained_on: ClassVar[int] = len(toys.data().train)
    """The images of an epoch of the last phase."""
    other_seed: ClassVar[int] = 2
    """Of the trainable that goes on where another stopped; the first has seed 1."""

    def model(self) -> TransferModel:
        return toys.pretrained()

    def data(self) -> SearchData:
        return toys.data()

    def build(
        self,
        *,
        seed: int = 1,
        model: TransferModel | None = None,
        config: Config | None = None,
        data: SearchData | None = None,
        device: str = "cpu",
    ) -> Trainable:
        seed_everything(seed)
        chosen = self.config if config is None else config
        trainable: Trainable = self.regime.build(chosen, model or self.model(), data or self.data(), device)
        return trainable

    def is_trained(self, key: str, value: Tensor, trains: tuple[str, ...]) -> bool:
        """Whether an entry of the model's state changes in a phase that trains these stages (and `head`)."""
        return part_of(key) in trains

    def in_last_phase(self, **changes: Any) -> Trainable:
        """A trainable whose next step is the first of its last phase."""
        trainable = self.build(**changes)
        for _ in range(sum(self.epochs)):
            trainable.step()
        return trainable

    def test_a_few_epochs_lower_both_losses(self) -> None:
        trainable = self.in_last_phase()
        epochs = [trainable.step() for _ in range(self.n_last)]
        assert epochs[-1]["train_loss"] < 0.7 * epochs[0]["train_loss"]
        assert epochs[-1]["val_loss"] < 0.7 * epochs[0]["val_loss"]
        assert epochs[-1]["val_accuracy"] > self.accuracy

    def test_a_step_reports_losses_and_accuracies_as_plain_numbers(self) -> None:
        trainable = self.build()
        for _ in range(sum(self.epochs) + 1):
            metrics = trainable.step()
            assert {"val_loss", "val_accuracy", "train_loss", "train_accuracy"} <= metrics.keys()
            assert all(type(value) is float for value in metrics.values())
            assert all(0 <= metrics[key] <= 1 for key in ("val_accuracy", "train_accuracy"))

    def test_each_epoch_of_each_phase_reports_a_metric_of_the_user_on_the_whole_validation_part(self) -> None:
        data = replace(self.data(), own_metric=OwnMetric("doubt", doubt))
        trainable = self.build(data=data)
        for _ in range(sum(self.epochs) + 1):
            reported = trainable.step()["val_doubt"]
            probabilities = trainable.predict(data.validation)  # type: ignore[attr-defined]
            expected = 1 - probabilities.gather(1, data.validation.labels.unsqueeze(1)).mean()
            assert reported == pytest.approx(float(expected), abs=1e-6)
        assert trainable.evaluate(data.validation)["doubt"] == pytest.approx(reported, abs=1e-6)

    def test_exactly_what_a_phase_trains_changes_bit_for_bit_weights_and_running_statistics(self) -> None:
        model = self.model()
        trainable = self.build(model=model)
        for phase, trains in enumerate(self.trains):
            before = deepcopy(model.state_dict())
            trainable.step()
            after = model.state_dict()
            changed = {key for key, value in after.items() if not identical(value, before[key])}
            assert changed == {key for key, value in after.items() if self.is_trained(key, value, trains)}
            for _ in range(self.epochs[phase] - 1 if phase < len(self.epochs) else 0):
                trainable.step()

    def test_only_what_trains_is_ever_in_training_mode_so_that_the_rest_drops_nothing_out(self) -> None:
        model = self.model()
        trainable = self.build(model=model)
        for phase, trains in enumerate(self.trains):
            with modes(model) as in_training:
                for _ in range(self.epochs[phase] if phase < len(self.epochs) else 2):
                    trainable.step()
            assert {part for part in in_training if part != HEAD} == {part for part in trains if part != HEAD}

    def test_with_the_store_and_without_it_all_phases_report_the_same(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without: every image goes through every stage in every epoch."""

        def reports() -> list[Mapping[str, float]]:
            model = self.model()
            model.mark_pretrained()
            trainable = self.build(model=model)
            return [trainable.step() for _ in range(sum(self.epochs) + 2)]

        monkeypatch.setenv("HPO_CACHE", str(tmp_path))
        computed, found = reports(), reports()
        monkeypatch.setenv("HPO_CACHE", "off")
        monkeypatch.setattr(feature_cache.SHARED, "fits", lambda *arguments: False)
        for expected, *others in zip(reports(), computed, found, strict=True):
            for other in others:
                assert other == pytest.approx(expected, abs=1e-5)

    def test_the_same_seed_gives_the_same_training_and_another_seed_another(self) -> None:
        runs = []
        for seed in (3, 3, 4):
            trainable = self.in_last_phase(seed=seed)
            runs.append([trainable.step() for _ in range(2)])
        assert runs[0] == runs[1] != runs[2]

    def test_random_numbers_drawn_between_steps_change_nothing(self) -> None:
        quiet, disturbed = self.build(seed=5), self.build(seed=5)
        expected = [quiet.step() for _ in range(sum(self.epochs) + 2)]
        for number, metrics in enumerate(expected):
            seed_everything(99 + number)
            assert disturbed.step() == metrics

    def test_evaluating_and_predicting_change_nothing(self) -> None:
        plain, evaluated = self.build(seed=6), self.build(seed=6)
        for _ in range(sum(self.epochs) + 2):
            assert evaluated.step() == plain.step()
            before = deepcopy(evaluated.state_dict())
            evaluated.evaluate(toys.part(30, seed=7))
            _predict(evaluated)(toys.part(30, seed=7))
            assert identical(evaluated.state_dict(), before)

    def test_evaluating_the_validation_part_gives_the_figures_of_the_last_step(self) -> None:
        trainable = self.build()
        for _ in range(sum(self.epochs) + 1):
            metrics = trainable.step()
            result = trainable.evaluate(self.data().validation)
            assert {"loss", "accuracy", "balanced_accuracy", "f1", "auroc"} == result.keys()
            assert result == {name: metrics[f"val_{name}"] for name in result}

    def test_the_predicted_probabilities_are_those_that_the_evaluation_judges(self) -> None:
        trainable = self.in_last_phase()
        trainable.step()
        part = toys.part(30, seed=7)
        probabilities, result = _predict(trainable)(part), trainable.evaluate(part)
        assert probabilities.shape == (30, len(toys.CLASSES))
        torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(30))
        assert float((probabilities.argmax(dim=1) == part.labels).double().mean()) == result["accuracy"]
        loss = -probabilities[torch.arange(30), part.labels].log().mean()
        assert float(loss) == pytest.approx(result["loss"], rel=1e-4)

    def test_a_frozen_first_stage_sees_each_image_once_and_one_that_trains_in_every_epoch(self) -> None:
        data, model = self.data(), self.model()
        trainable = self.in_last_phase(model=model, data=data)
        with counted(model) as counts:
            for _ in range(3):
                trainable.step()
        once = self.n_trained_on + len(data.validation)
        assert counts["first"] == (3 * once if "first" in self.trains[-1] else once)

    def test_features_that_another_training_kept_change_no_figure(self) -> None:
        shared = self.data()
        runs = []
        for data in (shared, shared, self.data()):
            trainable = self.build(seed=3, data=data)
            runs.append([trainable.step() for _ in range(sum(self.epochs) + 2)])
        assert runs[0] == runs[1] == runs[2]

    def test_images_that_change_at_random_are_seen_anew_in_every_epoch_and_validation_is_not_changed(self) -> None:
        data, model = self.data(), self.model()
        trainable = self.in_last_phase(model=model, data=data, config={**self.config, "augmentation": "flip_jitter"})
        with counted(model) as counts:
            for _ in range(3):
                metrics = trainable.step()
        n_train, n_validation = self.n_trained_on, len(data.validation)
        n_train *= 3 if self.augments or "first" in self.trains[-1] else 1
        n_validation *= 3 if "first" in self.trains[-1] else 1
        assert counts["first"] == n_train + n_validation
        assert trainable.evaluate(data.validation)["loss"] == metrics["val_loss"]

    def test_every_key_that_is_read_is_declared_and_every_declared_key_is_read(self) -> None:
        read: set[str] = set()
        for config in self.configs:
            recording = Recording({**self.config, **config})
            self.in_last_phase(config=recording).step()
            read |= recording.read
        assert sorted(read) == sorted(declared(self.regime.__name__))

    @pytest.mark.cuda
    def test_a_training_on_cuda_goes_on_there_exactly_and_its_state_loads_on_the_cpu(self) -> None:
        on_cuda = self.build(device="cuda")
        for _ in range(sum(self.epochs) + 1):
            file = saved(on_cuda)
            resumed = self.build(seed=self.other_seed, device="cuda")
            resumed.load_state_dict(loaded(file))
            assert on_cuda.step()["train_loss"] == pytest.approx(resumed.step()["train_loss"], rel=1e-3)
        on_cpu = self.build()
        on_cpu.load_state_dict(loaded(saved(on_cuda)))
        expected = on_cuda.evaluate(self.data().validation)
        assert on_cpu.evaluate(self.data().validation) == pytest.approx(expected, rel=1e-3)


def part_of(key: str) -> str:
    """The stage (or `head`) to which an entry of a model's state belongs."""
    return key.split(".")[1] if key.startswith("stages.") else HEAD


def _predict(trainable: Trainable) -> Callable[[Any], Tensor]:
    predict: Callable[[Any], Tensor] = trainable.predict  # type: ignore[attr-defined]
    return predict
