import pytest
import torch
from torch import nn

from tests.trainables import toys
from trainables.data.dataset import Part
from trainables.errors import SetupError
from trainables.inference import soup, trained
from trainables.regimes import closed_form, fine_tune
from trainables.seeding import seed_everything
from trainables.trainable import Trainable


def state(value: float, count: int) -> dict[str, torch.Tensor]:
    return {"weight": torch.tensor([value, 2 * value]), "count": torch.tensor(count)}


def test_an_average_is_the_mean_of_the_weights_and_keeps_the_whole_numbers_of_the_first() -> None:
    found = soup.average([state(1.0, 5), state(2.0, 6), state(6.0, 7)])
    assert found["weight"].tolist() == [3.0, 6.0]
    assert int(found["count"]) == 5


def test_only_states_of_the_same_keys_and_shapes_are_alike() -> None:
    one = state(1.0, 1)
    assert soup.are_alike(one, state(2.0, 3))
    assert not soup.are_alike(one, {**one, "more": torch.zeros(1)})
    assert not soup.are_alike(one, {**one, "weight": torch.zeros(3)})


def test_statistics_that_differ_are_computed_anew_from_all_images_and_the_others_stay() -> None:
    model, part = toys.pretrained(), toys.part(40, seed=1)
    states = [soup.state_of(model), soup.state_of(model)]
    states[1]["stages.first.1.running_mean"] += 1
    assert soup.moving_statistics(model, states) == ["stages.first.1"]
    soup.compute_statistics(model, part, ["stages.first.1"])
    first: nn.Module = model.stages["first"]
    with torch.no_grad():
        maps = first[0](model.preprocess(part.images))  # type: ignore[index]
    found = model.state_dict()
    torch.testing.assert_close(found["stages.first.1.running_mean"], maps.mean(dim=(0, 2, 3)))
    torch.testing.assert_close(found["stages.first.1.running_var"], maps.var(dim=(0, 2, 3)))
    assert torch.equal(found["stages.second.1.running_mean"], states[0]["stages.second.1.running_mean"])
    assert not any(module.training for module in model.modules())
    assert first[1].momentum == 0.1  # type: ignore[index]


def test_a_single_image_leaves_the_statistics_as_they_are() -> None:
    model = toys.pretrained()
    before = soup.state_of(model)
    soup.compute_statistics(model, Part(toys.part(1, seed=1).images, torch.tensor([0])), ["stages.first.1"])
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_the_metrics_of_a_model_are_those_that_its_training_reports() -> None:
    seed_everything(0)
    trainable, data = fine_tune.build({"batch_size": 16}, toys.pretrained(), toys.data(), "cpu"), toys.data()
    reported = trainable.step()
    found = soup.metrics(soup.model_of(trainable), data.validation, data)
    assert {f"val_{name}": value for name, value in found.items()} == pytest.approx(
        {name: value for name, value in reported.items() if name.startswith("val_")}, rel=1e-5
    )


def test_training_code_without_a_model_of_stages_is_an_error() -> None:
    class Own:
        model = nn.Linear(1, 1)

    with pytest.raises(SetupError, match="not one model of named stages"):
        soup.model_of(Own())  # type: ignore[arg-type]
    assert trained.models(Own())  # type: ignore[arg-type]


def test_a_training_that_replaces_layers_shows_other_layers_once_a_state_is_loaded() -> None:
    def build(method: str) -> Trainable:
        return closed_form.build({"method": method, "k": 3}, toys.pretrained(), toys.data(), "cpu")

    for method, is_replaced in (("knn", True), ("ridge", False)):
        trained_one, fresh = build(method), build(method)
        trained_one.step()
        before = soup.layers_of(fresh)
        fresh.load_state_dict(trained_one.state_dict())
        assert (soup.layers_of(fresh) != before) == is_replaced
