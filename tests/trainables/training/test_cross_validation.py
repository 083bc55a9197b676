from collections.abc import Mapping
from copy import deepcopy
from io import BytesIO
from statistics import fmean

import pytest
import torch

from tests.trainables import toys
from tests.trainables.states import identical
from trainables.data.dataset import SearchData
from trainables.regimes import fine_tune, probe_then_fine_tune
from trainables.seeding import seed_everything
from trainables.training.cross_validation import CrossValidation
from trainables.training.gradient_descent import Training


def datas() -> list[SearchData]:
    return [SearchData(toys.part(60, seed=seed), toys.part(24, seed=seed + 9), toys.CLASSES) for seed in range(2)]


def trainings(seed: int = 0) -> list[Training]:
    """One a fold, alone."""
    seed_everything(seed)
    made = [fine_tune.build({"lr": 0.01}, toys.pretrained(), data, "cpu") for data in datas()]
    return [each for each in made if isinstance(each, Training)]


def mean(metrics: list[Mapping[str, float]]) -> dict[str, object]:
    return {key: pytest.approx(fmean(each[key] for each in metrics)) for key in metrics[0]}


def test_metrics_are_the_means_over_the_folds_as_each_would_train_alone() -> None:
    alone, together = trainings(), CrossValidation(trainings())
    for _ in range(3):
        assert together.step() == mean([each.step() for each in alone])


def test_an_evaluation_is_the_mean_over_the_models() -> None:
    folds, part = CrossValidation(trainings()), toys.part(30, seed=7)
    folds.step()
    assert folds.evaluate(part) == mean([each.evaluate(part) for each in folds.trainings])


def test_a_prediction_is_the_mean_probability_over_the_models() -> None:
    folds, part = CrossValidation(trainings()), toys.part(30, seed=7)
    folds.step()
    one, other = (each.predict(part) for each in trainings_of(folds))
    torch.testing.assert_close(folds.predict(part), (one + other) / 2)


def test_folds_that_stop_and_go_on_are_exactly_folds_that_never_stopped() -> None:
    unbroken = CrossValidation(trainings())
    unbroken.step()
    file = BytesIO()
    torch.save(unbroken.state_dict(), file)
    expected = [unbroken.step() for _ in range(2)]
    file.seek(0)
    state = torch.load(file, weights_only=True)
    kept = deepcopy(state)
    resumed = CrossValidation(trainings(seed=3))
    resumed.load_state_dict(state)
    assert [resumed.step() for _ in range(2)] == expected
    assert identical(resumed.state_dict(), unbroken.state_dict())
    assert identical(state, kept)


def test_a_state_of_another_number_of_folds_is_refused() -> None:
    folds = CrossValidation(trainings())
    with pytest.raises(ValueError, match=r"zip\(\)"):
        folds.load_state_dict({"folds": folds.state_dict()["folds"][:1]})


def test_folds_in_phases_change_phase_together_and_go_on_exactly() -> None:
    def build(seed: int) -> CrossValidation:
        seed_everything(seed)
        config = {"probe_epochs": 2, "lr": 0.01}
        return CrossValidation([probe_then_fine_tune.build(config, toys.pretrained(), data, "cpu") for data in datas()])

    unbroken = build(0)
    epochs = [unbroken.step() for _ in range(4)]
    assert [metrics["phases_left"] for metrics in epochs] == [1, 1, 0, 0]
    again = build(0)
    again.step()
    again.step()
    resumed = build(1)
    resumed.load_state_dict(deepcopy(again.state_dict()))
    assert [resumed.step() for _ in range(2)] == epochs[2:]
    early = build(0)
    assert early.begin_next_phase()
    assert early.step()["phases_left"] == 0
    assert not early.begin_next_phase()
    assert not CrossValidation(trainings()).begin_next_phase()


def trainings_of(folds: CrossValidation) -> list[Training]:
    return [each for each in folds.trainings if isinstance(each, Training)]


def test_the_logits_are_those_of_each_fold_one_after_another() -> None:
    folds = CrossValidation(trainings())
    assert folds.validation_logits is None
    folds.step()
    found = folds.validation_logits
    assert found is not None
    for each, data, logits in zip(trainings_of(folds), datas(), found.split(24), strict=True):
        assert (logits.softmax(dim=1) == each.predict(data.validation)).all()


def test_there_are_no_logits_if_a_fold_offers_none_or_those_of_other_classes() -> None:
    folds = CrossValidation(trainings())
    folds.step()
    first = trainings_of(folds)[0]
    first.validation_logits = torch.zeros(24, 2)
    assert folds.validation_logits is None
    first.validation_logits = None
    assert folds.validation_logits is None
