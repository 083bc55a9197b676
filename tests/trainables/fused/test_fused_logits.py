import gc
import weakref
from typing import Any

import pytest
import torch

from tests.trainables.fused.heads import build
from trainables import fused


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_each_is_given_the_logits_of_its_own_validation(head: str) -> None:
    configs: list[dict[str, Any]] = [{"lr": lr, "batch_size": size} for lr, size in ((0.05, 32), (0.01, 16))]
    members, alone = ([build(seed, head, **config) for seed, config in enumerate(configs)] for _ in range(2))
    group = fused.Group()
    for _ in range(2):
        group.step(members)
        for ours, other in zip(members, alone, strict=True):
            other.step()
            assert ours.validation_logits is not None
            torch.testing.assert_close(ours.validation_logits, other.validation_logits, rtol=1e-4, atol=1e-5)
            assert ours.validation_results is not None
            assert other.validation_results is not None
            for found, expected in zip(ours.validation_results, other.validation_results, strict=True):
                torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


def test_the_logits_are_freed_when_all_members_release_them() -> None:
    members = [build(seed) for seed in range(2)]
    group = fused.Group()
    group.step(members)
    whole = weakref.ref(members[0].validation_logits._base)  # type: ignore[union-attr]
    assert whole() is not None
    for member in members:
        member.release_logits()
    gc.collect()
    assert whole() is None


def test_a_group_that_offers_no_logits_gives_its_members_none() -> None:
    members = [build(seed) for seed in range(2)]
    assert len(fused.Group(offers_logits=False).step(members)) == 2
    assert [member.validation_logits for member in members] == [None, None]
    assert [member.validation_results for member in members] == [None, None]
