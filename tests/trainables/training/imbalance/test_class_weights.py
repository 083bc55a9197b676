import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from trainables.hyperparameters import Config
from trainables.training.imbalance import class_weights

LABELS = torch.tensor([0] * 20 + [1] * 4 + [3])
"""Of four classes, the third of which has no image."""


def weights(config: Config, labels: torch.Tensor = LABELS, n_classes: int = 4) -> list[float]:
    found = class_weights.build(config, labels, n_classes)
    assert found is not None
    assert found.dtype == torch.float32
    return found.tolist()


def test_without_keys_there_are_no_weights() -> None:
    assert class_weights.build({}, LABELS, 4) is None
    assert class_weights.build({"class_weights": "none"}, LABELS, 4) is None


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60))
def test_balanced_weights_are_those_of_scikit_learn_and_0_for_a_class_without_images(labels: list[int]) -> None:
    found = weights({"class_weights": "balanced"}, torch.tensor(labels), 6)
    present = np.unique(labels)
    expected = np.zeros(6)
    expected[present] = compute_class_weight("balanced", classes=present, y=np.array(labels))
    assert found == pytest.approx(expected.tolist(), rel=1e-6)


def test_effective_weights_follow_the_paper_and_sum_to_the_number_of_classes_with_images() -> None:
    numbers = [(1 - 0.9) / (1 - 0.9**count) for count in (20, 4, 1)]
    scale = 3 / sum(numbers)
    expected = [numbers[0] * scale, numbers[1] * scale, 0, numbers[2] * scale]
    assert weights({"class_weights": "effective", "class_weights_beta": 0.9}) == pytest.approx(expected, rel=1e-6)


def test_beta_leads_from_equal_weights_to_balanced_ones() -> None:
    def ratio(beta: float) -> float:
        found = weights({"class_weights": "effective", "class_weights_beta": beta})
        return found[3] / found[0]

    assert ratio(0) == 1
    assert 1 < ratio(0.5) < ratio(0.99) < 20
    assert ratio(1 - 1e-12) == pytest.approx(20, rel=1e-3)
    assert weights({"class_weights": "effective"}) == weights(
        {"class_weights": "effective", "class_weights_beta": 0.999}
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"class_weights": "rare"}, "`class_weights` must be one of none, balanced, effective, but is 'rare'"),
        ({"class_weights_beta": 1}, "`class_weights_beta` must be of at least 0 and below 1, but is 1"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key_and_what_is_allowed(config: Config, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        class_weights.build(config, LABELS, 4)
