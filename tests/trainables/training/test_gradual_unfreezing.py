from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.trainables import toys
from tests.trainables.states import identical, loaded, saved
from tests.trainables.watching import counted
from trainables import fused
from trainables.features import feature_cache
from trainables.hyperparameters import Config
from trainables.regimes import fine_tune, probe_then_fine_tune
from trainables.seeding import seed_everything
from trainables.trainable import HEAD, TransferModel
from trainables.training import gradient_descent
from trainables.training.gradient_descent import Training
from trainables.training.gradual_unfreezing import GradualUnfreezing

EVERY_TWO: Config = {"unfreeze_every": 2, "lr": 0.02, "batch_size": 16}
ORDER = ["first", "second", "fc", "head"]


def build(config: Config | None = None, *, frozen: tuple[str, ...] = ()) -> Training:
    seed_everything(5)
    model = toys.pretrained()
    model.freeze(frozen)
    return gradient_descent.build({**EVERY_TWO, **(config or {})}, model, toys.data(), "cpu")


def values(model: TransferModel) -> dict[str, dict[str, torch.Tensor]]:
    """Copies of the weights and running statistics of each part."""
    return {name: {key: value.clone() for key, value in model.state_of([name]).items()} for name in ORDER}


def test_every_so_many_epochs_one_more_stage_trains_from_the_head_down() -> None:
    made = build()
    for n_trained in (1, 1, 2, 2, 3, 3, 4, 4):
        before = values(made.trained_model)
        made.step()
        after = values(made.trained_model)
        assert [name for name in ORDER if not identical(before[name], after[name])] == ORDER[4 - n_trained :]


def test_what_the_regime_freezes_stays_frozen() -> None:
    made = build({"unfreeze_every": 1}, frozen=("first", HEAD))
    for frozen in ({"first", "second", HEAD}, {"first", HEAD}, {"first", HEAD}):
        made.step()
        assert made.trained_model.frozen == frozen


def test_a_stage_without_weights_unfreezes_with_the_one_before_it() -> None:
    stages = {"flat": nn.Flatten(), "one": nn.Linear(4, 4), "drop": nn.Dropout(), "two": nn.Linear(4, 4)}
    model = TransferModel({**stages, "relu": nn.ReLU()}, nn.Linear(4, 2))
    assert GradualUnfreezing(model, 1).parts == [("head",), ("relu", "two"), ("drop", "one", "flat")]


def test_training_goes_on_exactly_from_any_epoch() -> None:
    config: Config = {"unfreeze_every": 1, "ema": 0.8, "optimizer": "sgd", "momentum": 0.9, "layer_decay": 0.5}
    unbroken = build(config)
    files, epochs = [saved(unbroken)], []
    for _ in range(5):
        epochs.append(unbroken.step())
        files.append(saved(unbroken))
    for done in range(1, 5):
        resumed = build(config)
        resumed.load_state_dict(loaded(files[done]))
        assert [resumed.step() for _ in epochs[done:]] == epochs[done:], f"stopped after {done} epochs"
        assert identical(loaded(saved(resumed)), loaded(files[-1]))


def test_a_phase_of_gradual_unfreezing_goes_on_exactly() -> None:
    def probe() -> Any:
        seed_everything(4)
        config: Config = {**EVERY_TWO, "unfreeze_every": 1, "probe_epochs": 1}
        return probe_then_fine_tune.build(config, toys.pretrained(), toys.data(), "cpu")

    unbroken = probe()
    unbroken.step()
    unbroken.step()
    unbroken.step()
    file = saved(unbroken)
    expected = [unbroken.step() for _ in range(2)]
    resumed = probe()
    resumed.load_state_dict(loaded(file))
    assert [resumed.step() for _ in range(2)] == expected


def test_the_state_of_the_optimizer_of_what_trains_already_is_kept() -> None:
    made = build({"unfreeze_every": 1, "optimizer": "adam"})
    counts = []
    for _ in range(3):
        made.step()
        state = made.optimization.optimizer.state
        steps = {name: state.get(each, {}).get("step", 0) for name, each in made.trained_model.named_parameters()}
        counts.append([int(steps[f"{name}.weight"]) for name in ("head", "stages.fc.1", "stages.second.0")])
    n = 6  # batches of an epoch
    assert counts == [[n, 0, 0], [2 * n, n, 0], [3 * n, 2 * n, n]]


def test_what_is_still_frozen_is_computed_once_and_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HPO_CACHE", str(tmp_path))

    def images_seen() -> list[list[int]]:
        """How many images each stage is given in each epoch."""
        seed_everything(5)
        model = toys.pretrained()
        model.mark_pretrained()
        made, seen = fine_tune.build(EVERY_TWO, model, toys.data(), "cpu"), []
        for _ in range(5):
            with counted(model) as counts:
                made.step()
            seen.append([counts[name] for name in ORDER[:3]])
        return seen

    n = 97 + 48
    feature_cache.SHARED.clear()
    assert images_seen() == [[n, n, n], [0, 0, 0], [n, n, n], [0, 0, n], [n, n, n]]
    feature_cache.SHARED.clear()
    assert images_seen() == [[0, 0, 0], [0, 0, 0], [0, 0, n], [0, 0, n], [0, n, n]], "it finds the features on disk"


def test_features_of_the_cache_give_the_numbers_of_images(monkeypatch: pytest.MonkeyPatch) -> None:
    cached = [build({"unfreeze_every": 1}).step() for _ in range(3)]
    monkeypatch.setattr(feature_cache.SHARED, "fits", lambda *arguments: False)
    assert [build({"unfreeze_every": 1}).step() for _ in range(3)] == [pytest.approx(each, abs=1e-5) for each in cached]


def test_views_of_images_are_features_of_what_is_frozen_in_each_epoch() -> None:
    config: Config = {"augmentation": "flip_jitter", "augmented_views": 2, "unfreeze_every": 1}
    made = build(config, frozen=("first",))
    for frozen in ({"first", "second", "fc"}, {"first", "second"}, {"first"}):
        made.step()
        assert made.trained_model.frozen == frozen


def test_the_average_of_a_stage_begins_when_it_trains() -> None:
    made = build({"unfreeze_every": 1, "ema": 0.5})
    made.step()
    assert made.model.stages["fc"] is made.trained_model.stages["fc"]
    made.step()
    ours, theirs = made.model.stages["fc"], made.trained_model.stages["fc"]
    assert ours is not theirs
    assert not identical(dict(ours.state_dict()), dict(theirs.state_dict()))


def test_all_can_be_unfrozen_at_once_as_measuring_the_need_of_memory_does() -> None:
    made = build()
    made.step()
    assert made.begin_next_phase()
    assert not made.begin_next_phase()
    made.step()
    assert not made.trained_model.frozen
    probe = probe_then_fine_tune.build({**EVERY_TWO, "probe_epochs": 9}, toys.pretrained(), toys.data(), "cpu")
    assert [probe.begin_next_phase() for _ in range(3)] == [True, True, False]  # type: ignore[attr-defined]
    assert not probe.model.frozen  # type: ignore[attr-defined]


def test_a_training_in_which_all_was_unfrozen_at_once_goes_on_exactly_from_its_state() -> None:
    unbroken = build({"ema": 0.8})
    unbroken.step()
    unbroken.begin_next_phase()
    for _ in range(2):
        file = saved(unbroken)
        resumed = build({"ema": 0.8})
        resumed.load_state_dict(loaded(file))
        assert resumed.step() == unbroken.step()
        assert identical(resumed.state_dict(), unbroken.state_dict())


def test_a_state_of_before_a_stage_trained_is_refused_by_a_training_in_which_it_has() -> None:
    made = build({"unfreeze_every": 1})
    made.step()
    early = loaded(saved(made))
    made.step()
    with pytest.raises(ValueError, match="the state is of an epoch before 'fc' trained"):
        made.load_state_dict(early)


def test_a_head_alone_has_nothing_to_unfreeze_and_may_be_fused() -> None:
    assert build(frozen=("first", "second", "fc")).optimization.unfreezing is None
    assert fused.key(build(frozen=("first", "second", "fc"))) is not None
    assert fused.key(build()) is None


def test_a_number_of_epochs_below_1_is_refused() -> None:
    with pytest.raises(ValueError, match="`unfreeze_every` must be a whole number of at least 1, but is 0"):
        build({"unfreeze_every": 0})
