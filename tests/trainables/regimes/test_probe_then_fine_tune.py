from pathlib import Path
from typing import ClassVar

import pytest
from torch import nn

from tests.trainables import toys
from tests.trainables.regimes.contract import LEARNS, RegimeContract
from trainables.errors import SetupError
from trainables.hyperparameters import Config
from trainables.regimes import probe_then_fine_tune
from trainables.trainable import TransferModel


class TestProbeThenFineTune(RegimeContract):
    regime = probe_then_fine_tune
    config: ClassVar[Config] = {**LEARNS, "probe_epochs": 3, "probe_lr": 0.001}
    trains: ClassVar = (("head",), ("first", "second", "fc", "head"))
    epochs: ClassVar = (3,)

    def test_the_probe_ends_early_where_it_does_not_improve(self) -> None:
        trainable = self.build(config={**self.config, "probe_epochs": 9, "probe_lr": 1e-30, "probe_patience": 2})
        left = [trainable.step()["phases_left"] for _ in range(5)]
        assert left == [1, 1, 1, 0, 0]

    def test_a_probe_that_is_stopped_keeps_the_schedule_and_the_warm_up_of_all_its_epochs(self) -> None:
        config = {**self.config, "probe_epochs": 9, "schedule": "cosine", "warmup": 3, "schedule_epochs": 20}
        whole, stopped = (self.build(config={**config, **end}) for end in ({}, {"probe_stop_epoch": 2}))
        for trainable in (whole, stopped):
            assert [trainable.step()["phases_left"] for _ in range(2)] == [1, 1]
        groups = [each.state_dict()["current"]["optimizer"]["param_groups"] for each in (whole, stopped)]
        assert [group["lr"] for group in groups[0]] == [group["lr"] for group in groups[1]]
        assert stopped.step()["phases_left"] == 0
        assert whole.step()["phases_left"] == 1

    def test_each_phase_has_its_own_learning_rate_and_a_schedule_from_its_beginning(self) -> None:
        config: Config = {
            "probe_lr": 0.4,
            "lr": 0.2,
            "probe_epochs": 2,
            "step_size": 1,
            "gamma": 0.5,
            "optimizer": "sgd",
        }
        trainable = self.build(config=config)
        rates = []
        for _ in range(4):
            trainable.step()
            rates.append(trainable.state_dict()["current"]["optimizer"]["param_groups"][0]["lr"])
        assert rates == [0.4, 0.2, 0.2, 0.1]

    @pytest.mark.parametrize("n_stages", [4, 100])
    def test_more_stages_than_the_model_has_are_refused_with_their_number(self, n_stages: int) -> None:
        with pytest.raises(ValueError, match=f"`n_stages` must be at most 3: .* but is {n_stages}"):
            self.build(config={"n_stages": n_stages})

    @pytest.mark.parametrize("key", ["probe_epochs", "probe_stop_epoch", "probe_patience", "n_stages"])
    @pytest.mark.parametrize("value", [0, 1.5, "2", True])
    def test_a_wrong_number_is_refused_by_name(self, key: str, value: float | str) -> None:
        with pytest.raises(ValueError, match=f"`{key}` must be a whole number of at least 1, but is {value!r}"):
            self.build(config={key: value})

    @pytest.mark.parametrize("key", ["probe_lr", "lr"])
    def test_a_wrong_learning_rate_of_either_phase_is_refused_before_the_probe(self, key: str) -> None:
        with pytest.raises(ValueError, match=f"`{key}` must be above 0, but is 0"):
            self.build(config={key: 0})

    def test_batches_of_one_image_that_only_the_probe_can_train_on_are_refused_before_it(self) -> None:
        stages = {"pixel": nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3), nn.Flatten())}
        with pytest.raises(
            SetupError, match=r"`batch_size` must be at least 2 .*: its layer stages\.pixel\.2 is a Batch"
        ):
            self.build(model=TransferModel(stages, nn.Linear(3, 3)), config={"batch_size": 1})

    def test_a_model_of_which_only_the_head_has_weights_is_refused(self) -> None:
        with pytest.raises(SetupError, match="nothing is left to fine-tune: no stage of the model has weights"):
            self.build(model=TransferModel({"flatten": nn.Flatten()}, nn.Linear(64, 3)))

    def test_a_wrong_learning_rate_of_the_probe_is_refused_by_its_own_name(self) -> None:
        with pytest.raises(ValueError, match="`probe_lr` must be above 0, but is -1"):
            self.build(config={"probe_lr": -1})


def test_the_probe_finds_features_of_pretrained_stages_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_CACHE", str(tmp_path))
    model = toys.pretrained()
    model.mark_pretrained()
    trainable = probe_then_fine_tune.build({**LEARNS, "probe_epochs": 1}, model, toys.data(), "cpu")
    trainable.step()
    n_files = len(list(tmp_path.glob("features*.bin")))
    assert n_files > 0
    trainable.step()
    assert not model.pretrained
    assert len(list(tmp_path.glob("features*.bin"))) == n_files


class TestProbeThenTheLastStages(RegimeContract):
    regime = probe_then_fine_tune
    config: ClassVar[Config] = {**LEARNS, "probe_epochs": 2, "probe_lr": 0.001, "n_stages": 2}
    trains: ClassVar = (("head",), ("second", "fc", "head"))
    epochs: ClassVar = (2,)

    def test_a_model_goes_through_the_phases_one_after_another(self) -> None:
        model = toys.pretrained()
        trainable = self.build(model=model)
        frozen = []
        for _ in range(4):
            trainable.step()
            frozen.append(sorted(model.frozen))
        assert frozen == [["fc", "first", "second"]] * 2 + [["first"]] * 2
