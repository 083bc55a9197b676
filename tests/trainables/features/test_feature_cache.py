import gc

import pytest
import torch
from torch import nn

from tests.trainables import toys
from tests.trainables.watching import counted
from trainables.data.dataset import Part
from trainables.features import feature_cache, fingerprint
from trainables.trainable import TransferModel

PLENTY = 2**30


def of(store: feature_cache.FeatureCache, model: TransferModel, part: Part, n_stages: int = 2) -> torch.Tensor:
    return store.get(model, part, n_stages, fingerprint.of_stages(model, n_stages)).values


def times_seen(model: TransferModel, part: Part, store: feature_cache.FeatureCache, n_stages: int = 2) -> float:
    """How often each image of a part goes through the first stage when its features are asked for."""
    with counted(model) as counts:
        of(store, model, part, n_stages)
    return counts["first"] / len(part)


def test_features_are_what_the_stages_make_of_normalised_images_in_evaluation_mode() -> None:
    model, part = toys.pretrained(), toys.part(150, seed=0)
    model.normalize([0.4], [0.2])
    model.train()
    found = of(feature_cache.FeatureCache(PLENTY), model, part)
    assert model.training
    assert model.stages["second"].training
    model.eval()
    expected = model.run_stages((part.images - 0.4) / 0.2, 0, 2)
    torch.testing.assert_close(found, expected)
    assert not found.requires_grad


def test_computing_features_moves_no_running_statistics() -> None:
    model = toys.pretrained()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    of(feature_cache.FeatureCache(PLENTY), model.train(), toys.part(9, seed=0))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_features_of_a_part_are_computed_once_for_all_models_that_share_its_stages() -> None:
    store, part = feature_cache.FeatureCache(PLENTY), toys.part(9, seed=0)
    assert times_seen(toys.pretrained(), part, store) == 1
    other = toys.pretrained()
    torch.nn.init.zeros_(other.get_parameter("head.weight"))
    torch.nn.init.zeros_(other.get_parameter("stages.fc.1.weight"))
    assert times_seen(other, part, store) == 0


def test_other_weights_statistics_normalisation_stages_or_images_have_features_of_their_own() -> None:
    store, part = feature_cache.FeatureCache(PLENTY), toys.part(9, seed=0)
    of(store, toys.pretrained(), part)
    weights, statistics, normalised = toys.pretrained(), toys.pretrained(), toys.pretrained()
    with torch.no_grad():
        weights.get_parameter("stages.second.0.weight")[0, 0, 0, 0] += 1e-3
        statistics.get_buffer("stages.first.1.running_mean")[0] += 1e-3
    normalised.normalize([0.0], [0.99])
    for changed in (weights, statistics, normalised):
        assert times_seen(changed, part, store) == 1
    assert times_seen(toys.pretrained(), part, store, n_stages=1) == 1
    assert times_seen(toys.pretrained(), toys.part(9, seed=0), store) == 1
    assert times_seen(toys.pretrained(), part, store) == 0


def test_stages_of_another_form_with_the_same_weights_have_features_of_their_own() -> None:
    store, part = feature_cache.FeatureCache(PLENTY), toys.part(9, seed=0)
    found = [
        of(store, TransferModel({"first": nn.MaxPool2d(size)}, nn.Identity()), part, n_stages=1) for size in (2, 4)
    ]
    assert [each.shape for each in found] == [(9, 1, 4, 4), (9, 1, 2, 2)]


def test_features_in_half_the_precision_are_kept_apart() -> None:
    store, model, part = feature_cache.FeatureCache(PLENTY), toys.pretrained(), toys.part(9, seed=0)
    digest = fingerprint.of_stages(model, 2)
    full, half = (store.get(model, part, 2, digest, bf16=bf16).values for bf16 in (False, True))
    assert full.dtype == half.dtype == torch.float32
    assert not torch.equal(full, half)
    torch.testing.assert_close(full, half, rtol=0.05, atol=0.05)


def test_stages_that_count_otherwise_with_the_same_weights_have_features_of_their_own() -> None:
    class Times(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images * self.factor

    store, part = feature_cache.FeatureCache(PLENTY), toys.part(9, seed=0)
    found = [of(store, TransferModel({"first": Times(factor)}, nn.Identity()), part, n_stages=1) for factor in (2, 3)]
    torch.testing.assert_close(found[0] / 2, found[1] / 3)
    assert not torch.equal(*found)


def test_the_mode_of_a_model_changes_nothing_of_its_fingerprint() -> None:
    model = toys.pretrained()
    assert fingerprint.of_stages(model.train(), 2) == fingerprint.of_stages(model.eval(), 2)


def test_a_fingerprint_is_found_again_until_a_single_weight_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    model, equal = toys.pretrained(), toys.pretrained()
    before = fingerprint.of_stages(model, 2)
    with monkeypatch.context() as patched:
        patched.delattr("hashlib.sha256")  # nothing is hashed
        assert fingerprint.of_stages(equal, 2) == before
    weight = next(model.stages.parameters())
    with torch.no_grad():
        weight.view(-1)[0] += 1e-3
    after = fingerprint.of_stages(model, 2)
    assert after != before
    assert fingerprint.of_stages(equal, 2) == before
    assert fingerprint.of_stages(model, 1) not in (before, after)
    model.normalize([0.5], [2.0])
    assert fingerprint.of_stages(model, 2) not in (before, after)
    fingerprint._recent_hashes.clear()
    assert fingerprint.of_stages(equal, 2) == before


def test_features_fit_where_there_is_room_for_twice_as_many() -> None:
    model, part = toys.pretrained(), toys.part(9, seed=0)
    size = of(feature_cache.FeatureCache(PLENTY), model, part, n_stages=1).nbytes
    assert feature_cache.FeatureCache(2 * size).fits(model, part, 1, "any")
    assert not feature_cache.FeatureCache(2 * size - 1).fits(model, part, 1, "any")


def test_the_last_used_are_kept_up_to_the_limit() -> None:
    model, parts = toys.pretrained(), [toys.part(9, seed=seed) for seed in range(3)]
    size = of(feature_cache.FeatureCache(PLENTY), model, parts[0]).nbytes
    store = feature_cache.FeatureCache(2 * size)
    for part in (parts[0], parts[1], parts[0], parts[2]):
        of(store, model, part)
    assert [times_seen(model, part, store) for part in (parts[0], parts[2], parts[1])] == [0, 0, 1]


def test_features_larger_than_the_limit_are_kept_while_nothing_else_is() -> None:
    model, part, store = toys.pretrained(), toys.part(9, seed=0), feature_cache.FeatureCache(1)
    assert [times_seen(model, part, store) for _ in range(2)] == [1, 0]


def test_no_features_outlive_the_images_that_they_belong_to() -> None:
    model, store = toys.pretrained(), feature_cache.FeatureCache(PLENTY)
    for seed in range(5):  # each part may lie where the one before it lay
        part = toys.part(9, seed=seed)
        expected = of(feature_cache.FeatureCache(PLENTY), model, part)
        assert torch.equal(of(store, model, part), expected)
        del part
    gc.collect()
    held = [each for value in vars(store).values() if isinstance(value, dict) for each in value.values()]
    assert not any(isinstance(each, feature_cache.Features) for each in held)


def test_the_width_is_that_of_what_the_head_sees_and_the_mode_stays() -> None:
    model = toys.model().train()
    before = model.get_buffer("stages.first.1.running_mean").clone()
    assert feature_cache.width(model, toys.part(9, seed=0)) == 8 * 2 * 2
    assert model.training
    assert torch.equal(model.get_buffer("stages.first.1.running_mean"), before)


class Pool(nn.Module):
    """A stage whose form stands in a plain attribute and in a buffer that no state holds."""

    scale: torch.Tensor

    def __init__(self, kind: str, scale: float = 1.0) -> None:
        super().__init__()
        self.kind = kind
        self.register_buffer("scale", torch.tensor(scale), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.scale * (images.amax((2, 3)) if self.kind == "max" else images.mean((2, 3)))


def test_stages_that_differ_in_an_attribute_or_an_unsaved_buffer_have_features_of_their_own() -> None:
    store, part = feature_cache.FeatureCache(PLENTY), toys.part(9, seed=0)
    pools = (Pool("max"), Pool("mean"), Pool("max", 2.0))
    one, other, scaled = (of(store, TransferModel({"pool": p}, nn.Linear(1, 3)), part, 1) for p in pools)
    assert not torch.equal(one, other)
    assert torch.equal(scaled, 2 * one)


def test_there_is_room_for_features_where_those_of_two_such_parts_lie_below_the_limit() -> None:
    model, part = TransferModel({"flat": nn.Flatten()}, nn.Linear(64, 3)), toys.part(10, seed=0)
    n_bytes = 2 * 10 * 64 * 4
    assert feature_cache.FeatureCache(n_bytes).fits(model, part, 1, "any")
    assert not feature_cache.FeatureCache(n_bytes - 1).fits(model, part, 1, "any")
