from typing import Any

import pytest

from tests.trainables.fused.heads import SKEWED, build, check_alike
from tests.trainables.states import identical
from trainables.training.gradient_descent import Training

IMBALANCE: dict[str, dict[str, Any]] = {
    "focal": {"loss_function": "focal"},
    "focal with label smoothing": {"loss_function": "focal", "focal_gamma": 0.5, "label_smoothing": 0.2},
    "class weights": {"class_weights": "balanced"},
    "class weights with label smoothing": {"class_weights": "effective", "label_smoothing": 0.2},
    "balanced sampler": {"sampler": "balanced", "batch_size": 20},
    "class weights with balanced sampler": {"class_weights": "effective", "sampler": "balanced"},
}


@pytest.mark.parametrize("config", IMBALANCE.values(), ids=IMBALANCE)
def test_what_one_of_them_does_about_imbalance_holds_for_it_alone(config: dict[str, Any]) -> None:
    members, alone = (
        [build(1, data=SKEWED, **config), build(2, data=SKEWED, optimizer="sgd"), build(3, data=SKEWED)]
        for _ in range(2)
    )
    check_alike(members, alone)
    assert not identical(members[0].state_dict()["weights"], _trained(build(1, data=SKEWED)).state_dict()["weights"])


def _trained(training: Training) -> Training:
    for _ in range(4):
        training.step()
    return training
