from __future__ import annotations

from hpo.space import Categorical, Domain, Fidelity, Float, Int, SearchSpace, Task
from hpo.space.largest_configurations import largest_configurations


def test_each_regime_and_model_has_its_largest_configuration() -> None:
    domains: dict[str, Domain] = {
        "regime": Categorical(("linear_probe", "fine_tune")),
        "model": Categorical(("resnet18", "resnet50")),
        "batch_size": Categorical((128, 16, 64)),
        "image_size": Int(64, 224),
        "micro_batches": Int(1, 4),
        "lr": Float(1e-4, 1e-1, log=True),
        "optimizer": Categorical(("adamw", "sgd")),
        "augmentation": Categorical(("flip_jitter", "none")),
        "widths": Categorical(((64, 64), (512,), (128, 8))),
        "exif_orientation": Categorical((True, False)),
        "background": Categorical((None, "white")),
    }
    space = SearchSpace("s", domains, Fidelity(9))
    found = largest_configurations(space)
    assert [(config["regime"], config["model"]) for config in found] == [
        ("linear_probe", "resnet18"),
        ("linear_probe", "resnet50"),
        ("fine_tune", "resnet18"),
        ("fine_tune", "resnet50"),
    ]
    rest = {"batch_size": 128, "image_size": 224, "micro_batches": 1, "lr": 1e-4, "optimizer": "adamw"}
    rest |= {"augmentation": "flip_jitter", "widths": (512,), "exif_orientation": True, "background": "white"}
    for config in found:
        assert {name: value for name, value in config.items() if name in rest} == rest
        assert space.problem(config) is None


def test_hyperparameters_that_are_not_active_are_left_out_and_a_space_without_choices_has_one() -> None:
    domains: dict[str, Domain] = {
        "optimizer": Categorical(("sgd", "adam")),
        "momentum": Float(0, 0.9, when={"optimizer": ("sgd",)}),
    }
    task = Task("from_scratch", "small_cnn")
    assert largest_configurations(SearchSpace("s", domains, Fidelity(9), task)) == [{"optimizer": "adam"}]
    assert largest_configurations(SearchSpace("s", {"batch_size": Categorical((8, 4))}, Fidelity(9))) == [
        {"batch_size": 8}
    ]
