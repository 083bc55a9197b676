from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference
from torch import Tensor

from trainables.training import metrics, metrics_cpu, metrics_gpu

Compute = Callable[[Tensor, Tensor], metrics.Metrics]


def on_gpu(logits: Tensor, labels: Tensor) -> metrics.Metrics:
    """The metrics by the code for a GPU, which runs on a CPU too."""
    losses = torch.empty(logits.shape[:2])
    samples = metrics.SampleResults(losses, torch.empty_like(losses, dtype=torch.int64))
    columns = metrics_gpu.compute(logits, labels, 5 if logits.shape[2] > 10 else None, samples)
    return metrics.Metrics(columns[:, 0], columns[:, 1:], samples)


on_each_device = pytest.mark.parametrize("compute", [metrics.compute, on_gpu], ids=["cpu", "gpu"])


def log_odds(logits: Tensor, label: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The logarithm of p / (1 - p) of a class, float64 (n,). It rises with p, and is not rounded near 0 and 1."""
    others = torch.arange(logits.shape[1]) != label
    exact = logits.double()
    return np.asarray((exact[:, label] - exact[:, others].logsumexp(dim=1)).numpy())


def by_scikit_learn(logits: Tensor, labels: Tensor, shift: float = 0.0) -> dict[str, float]:
    """The metrics of one network, from logits (n, n_classes). `shift` is added to the scores of the positives."""
    n_classes = logits.shape[1]
    true, predicted = labels.numpy(), logits.numpy().argmax(axis=1)
    occur = [label for label in range(n_classes) if 0 < (true == label).sum() < len(true)]
    areas = [
        reference.roc_auc_score(true == label, log_odds(logits, label) + shift * (true == label)) for label in occur
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are predicted but do not occur
        found = {
            "accuracy": reference.accuracy_score(true, predicted),
            "balanced_accuracy": reference.balanced_accuracy_score(true, predicted),
            "f1": reference.f1_score(true, predicted, average="macro", zero_division=0),
            "auroc": np.mean(areas[1:] if n_classes == 2 else areas) if areas else math.nan,
        }
        if n_classes > 10:  # scikit-learn prefers the last of equal classes, so their order is reversed
            reversed_labels, reversed_logits = n_classes - 1 - true, logits.numpy()[:, ::-1]
            found["top5_accuracy"] = reference.top_k_accuracy_score(
                reversed_labels, reversed_logits, k=5, labels=range(n_classes)
            )
    return {name: float(value) for name, value in found.items()}


def check(logits: Tensor, labels: Tensor) -> None:
    """Each network has the metrics of scikit-learn, on each device.

    The AUROC lies between the areas that result if each positive loses, or wins, against the negatives whose scores
    differ by less than the rounding errors of float32 logits.
    """
    of_devices = torch.stack([compute(logits, labels).values for compute in (metrics.compute, on_gpu)], dim=1)
    names = metrics.names(logits.shape[2])
    for of_device, of_network in zip(of_devices, logits, strict=True):
        expected = by_scikit_learn(of_network, labels)
        assert tuple(expected) == names
        resolution = 8 * float(np.finfo(np.float32).eps) * (1 + float(of_network.abs().max()))
        lowest, highest = (by_scikit_learn(of_network, labels, shift)["auroc"] for shift in (-resolution, resolution))
        for values in of_device:
            auroc = float(values[3])
            assert math.isnan(expected["auroc"]) if math.isnan(auroc) else lowest - 1e-9 <= auroc <= highest + 1e-9
            others = expected | {"auroc": auroc}
            assert values.tolist() == pytest.approx(list(others.values()), abs=1e-6, nan_ok=True)


def draw(n_networks: int, n: int, n_classes: int, *, seed: int = 0, kept: int | None = None) -> tuple[Tensor, Tensor]:
    """Random logits and labels. Only the first `kept` classes occur."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(kept or n_classes, (n,), generator=generator)
    logits = torch.randn(n_networks, n, n_classes, generator=generator)
    logits[:, torch.arange(n), labels] += 1
    return logits, labels


@pytest.mark.slow
@settings(deadline=None, max_examples=40)  # scikit-learn is slow with many classes
@given(st.integers(1, 3), st.integers(1, 60), st.sampled_from([2, 3, 10, 11, 30, 60]), st.integers(0, 99), st.data())
def test_all_metrics_are_those_of_scikit_learn(
    n_networks: int, n: int, n_classes: int, seed: int, data: st.DataObject
) -> None:
    logits, labels = draw(n_networks, n, n_classes, seed=seed, kept=data.draw(st.integers(1, n_classes)))
    scale = data.draw(st.sampled_from([0.0, 0.5, 1.0, 40.0, None]))
    # Rounded logits have ties; large ones give probabilities that float32 rounds to 0 and 1.
    check(logits if scale is None else (logits * scale).round(), labels)


@pytest.mark.parametrize("n_classes", [2, 3, 12])
@pytest.mark.parametrize("scale", [1.0, 0.25, 30.0])
def test_the_metrics_of_trained_networks_are_those_of_scikit_learn(n_classes: int, scale: float) -> None:
    logits, labels = draw(2, 300, n_classes)
    logits[:, torch.arange(300), labels] += 3
    check(logits * scale, labels)
    check((logits * scale).round(), labels)


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(st.integers(1, 3), st.integers(2, 300), st.sampled_from([2, 3, 12]), st.integers(1, 4), st.data())
def test_the_metrics_of_many_equal_images_are_those_of_scikit_learn(
    n_networks: int, n: int, n_classes: int, n_different: int, data: st.DataObject
) -> None:
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    different, _ = draw(n_networks, n_different, n_classes)
    logits = different[:, torch.randint(n_different, (n,), generator=generator)]
    labels = torch.zeros(n, dtype=torch.int64)  # most images are of one class, and the others are rare or do not occur
    n_rare = data.draw(st.integers(1, min(n, 5)))
    labels[torch.randperm(n, generator=generator)[:n_rare]] = torch.randint(n_classes, (n_rare,), generator=generator)
    check(logits, labels)


@pytest.mark.cuda
@pytest.mark.parametrize("n_classes", [2, 12])
def test_the_metrics_on_cuda_are_those_on_the_cpu(n_classes: int) -> None:
    logits, labels = draw(3, 500, n_classes)
    found, expected = metrics.compute(logits.cuda(), labels.cuda()), metrics.compute(logits, labels)
    torch.testing.assert_close(found.losses.cpu(), expected.losses, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.values.cpu(), expected.values, rtol=1e-4, atol=1e-6)


@on_each_device
def test_ties_and_nan_of_one_network_do_not_change_the_others(compute: Compute) -> None:
    logits, labels = draw(4, 40, 12)
    logits[0, 3, 2] = math.nan
    logits[0, 4, :2] = 9.0  # two classes have the highest logit, so there are as many highest logits as images
    logits[1] = logits[1].round()
    logits[2] = 0
    together = compute(logits, labels).values
    alone = torch.cat([compute(each.unsqueeze(0), labels).values for each in logits])
    torch.testing.assert_close(together, alone, rtol=0, atol=0, equal_nan=True)
    check(logits[1:], labels)
    assert together[:, 0].tolist() == [float((each.numpy().argmax(axis=1) == labels.numpy()).mean()) for each in logits]


@pytest.mark.parametrize(("compute", "module"), [(metrics.compute, metrics_cpu), (on_gpu, metrics_gpu)])
def test_networks_are_computed_in_slices_without_a_difference(
    compute: Compute, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits, labels = draw(7, 50, 12)
    whole = compute(logits, labels)
    monkeypatch.setattr(module, "MAX_VALUES", 2 * 50 * 12)
    in_slices = compute(logits, labels)
    assert torch.equal(in_slices.losses, whole.losses)
    assert torch.equal(in_slices.values, whole.values)


@on_each_device
def test_the_logits_are_left_as_they_are(compute: Compute) -> None:
    logits, labels = draw(2, 30, 11)
    before = logits.clone()
    compute(logits, labels)
    assert torch.equal(logits, before)


@on_each_device
def test_only_auroc_is_undefined_if_one_class_occurs(compute: Compute) -> None:
    logits, labels = draw(1, 20, 11, kept=1)
    found = dict(zip(metrics.names(11), compute(logits, labels).values[0].tolist(), strict=True))
    assert [name for name, value in found.items() if math.isnan(value)] == ["auroc"]


@on_each_device
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_logit_that_is_no_number_makes_the_auroc_of_its_network_undefined(compute: Compute, value: float) -> None:
    logits, labels = draw(2, 30, 12)
    logits[0, 3] = value
    found = compute(logits, labels).values
    assert math.isnan(found[0, 3])
    assert not found[1].isnan().any()
    assert not found[0, [0, 1, 2, 4]].isnan().any()


@on_each_device
@pytest.mark.parametrize("n_classes", [2, 3, 12])
def test_nan_with_all_bits_set_in_one_network_does_not_change_the_others(compute: Compute, n_classes: int) -> None:
    logits, labels = draw(3, 40, n_classes)
    logits[1, labels == 1] = torch.tensor(0x7FFFFFFF, dtype=torch.int32).view(torch.float32)
    found = compute(logits, labels).values
    assert math.isnan(found[1, 3])
    for network in (0, 2):
        alone = compute(logits[network : network + 1], labels).values
        torch.testing.assert_close(found[network : network + 1], alone, rtol=0, atol=0)


@on_each_device
def test_samples_of_two_networks_are_no_ties(compute: Compute) -> None:
    """In the second network, the positive has the key next to that of the positive in the first one."""
    below_one = float(np.nextafter(np.float32(1), np.float32(0)))
    for value in (below_one, 1.0, 2.0):
        differences = torch.tensor([[1.0, 0.0, 0.0], [value, 0.0, 0.0]])
        logits = torch.stack([torch.zeros_like(differences), differences], dim=2)
        assert compute(logits, torch.tensor([1, 0, 0])).values[:, 3].tolist() == [1.0, 1.0]


@on_each_device
def test_an_image_with_nan_logits_is_no_hit_of_the_top_5(compute: Compute) -> None:
    labels = torch.arange(12)
    assert compute(torch.full((1, 12, 12), math.nan), labels).values[0, -1] == 0
    assert compute(torch.zeros(1, 12, 12), labels).values[0, -1] == 5 / 12


@on_each_device
def test_an_image_is_a_hit_of_the_top_5_whenever_it_is_classified_correctly(compute: Compute) -> None:
    labels = torch.arange(12)
    accuracy, top_5 = compute(torch.zeros(1, 12, 12), labels).values[0, [0, -1]]
    assert accuracy == 1 / 12
    assert top_5 == 5 / 12


@on_each_device
def test_of_two_classes_the_area_of_the_second_is_reported(compute: Compute) -> None:
    logits = torch.tensor([[[0.0, 1.0], [0.0, 2.0], [0.0, 3.0], [0.0, 0.0]]])
    assert compute(logits, torch.tensor([0, 1, 1, 1])).values[0, 3] == pytest.approx(2 / 3)


def auroc(compute: Compute, logits: Tensor, labels: Tensor) -> float:
    """The AUROC of one network, from logits (n, n_classes)."""
    return float(compute(logits.unsqueeze(0), labels).values[0, 3])


@on_each_device
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_very_confident_predictions_are_ranked_by_their_logits(compute: Compute, n_classes: int, sign: int) -> None:
    logits = torch.full((4, n_classes), -1000.0)
    logits[:, 0] = 0
    logits[:, 1] = sign * torch.tensor([20.0, 25.0, 30.0, 40.0])
    labels = torch.tensor([0, 0, 1, 1]) if sign > 0 else torch.tensor([1, 1, 0, 0])
    assert auroc(compute, logits, labels) == 1


@on_each_device
@pytest.mark.parametrize("n_classes", [2, 3, 30])
def test_the_area_of_confident_networks_is_exact(compute: Compute, n_classes: int) -> None:
    logits, labels = draw(1, 500, n_classes)
    # With whole logits far apart, the highest of the others alone decides, and the scores are far apart or tied.
    logits = (logits * 400).round()
    assert auroc(compute, logits[0], labels) == pytest.approx(by_scikit_learn(logits[0], labels)["auroc"], abs=1e-5)


# Only on a CPU, torch.sum may add up the last samples in another order, so that equal samples get different
# probabilities, unless the number of samples is a multiple of 32.
@pytest.mark.parametrize(("compute", "n"), [(metrics.compute, 37), (on_gpu, 32)])
@pytest.mark.parametrize("n_classes", [2, 3, 12])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0, 1e6])
def test_samples_with_equal_logits_count_half(compute: Compute, n: int, n_classes: int, scale: float) -> None:
    logits, _ = draw(1, n, n_classes)
    twice = logits[0].repeat(2, 1) * scale
    for label in range(n_classes):
        labels = torch.full((2 * n,), label)
        labels[n:] = (label + 1) % n_classes
        assert auroc(compute, twice, labels) == 0.5


@on_each_device
@pytest.mark.parametrize(("n_classes", "expected"), [(2, 5 / 6), (3, (1 / 2 + 5 / 6) / 2)])
def test_a_logit_of_minus_infinity_is_the_lowest_probability(compute: Compute, n_classes: int, expected: float) -> None:
    logits = torch.zeros(4, n_classes)
    logits[:, 1] = torch.tensor([-math.inf, -math.inf, -500.0, -400.0])
    # With three classes, the first class has the probability 1/2 in each sample, as the third has.
    assert auroc(compute, logits, torch.tensor([0, 1, 1, 1])) == pytest.approx(expected)


@on_each_device
@pytest.mark.parametrize(("k", "n", "n_classes"), [(1, 40, 3), (7, 300, 101), (20, 700, 30)])
def test_each_sample_has_its_loss_and_its_predicted_class(compute: Compute, k: int, n: int, n_classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(k, n, n_classes, generator=generator).mul_(2).round_().div_(2)  # with ties
    labels = torch.randint(n_classes, (n,), generator=generator)
    found = compute(logits, labels)
    assert found.samples is not None
    assert (found.samples.predicted == logits.argmax(dim=2)).all()
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.repeat(k), reduction="none")
    torch.testing.assert_close(found.samples.losses.flatten(), expected)
