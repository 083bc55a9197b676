import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from torch import Tensor
from torch.nn import functional

from tests.trainables.declarations import Recording, declared
from tests.trainables.noises import noise, seeded
from trainables import vision
from trainables.augmentation import mixing
from trainables.augmentation.mixing import Mixing
from trainables.hyperparameters import Config

N = 2000
SHARING: list[Config] = [{"mixing": "mixup"}, {"mixing": "collage"}]
"""Those that always leave something of both images."""
KINDS: list[Config] = [*SHARING, {"mixing": "cutmix"}, {"mixing": "mixup_cutmix"}]
sharing = pytest.mark.parametrize("config", SHARING, ids=lambda config: config["mixing"])
kinds = pytest.mark.parametrize("config", KINDS, ids=lambda config: config["mixing"])


def built(config: Config) -> Mixing:
    mix = mixing.mixing(config)
    assert mix is not None
    return mix


def numbered(n: int, height: int = 4, width: int = 6) -> tuple[Tensor, Tensor]:
    """Images whose pixels all hold a number of their own, and a class each: the mixed tell whom they are of."""
    images = (torch.arange(n) / n).reshape(n, 1, 1, 1).expand(n, 3, height, width).clone()
    return images, torch.eye(n)


def mixed_numbered(config: Config, n: int = N) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The mixed images, the indices of the partners, the weights of the partners, and the targets."""
    images, targets = built(config)(*numbered(n), seeded())
    others = targets * (1 - torch.eye(n))
    return images, others.argmax(dim=1), others.sum(dim=1), targets


def test_no_mixing_is_none() -> None:
    assert mixing.mixing({}) is None
    assert mixing.mixing({"mixing": "none"}) is None


@sharing
def test_each_target_is_shared_by_the_image_and_one_other_and_adds_up_to_one(config: Config) -> None:
    _, _, weights, targets = mixed_numbered(config)
    assert torch.equal((targets > 0).sum(dim=1), torch.full((N,), 2))
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(N))
    torch.testing.assert_close(targets.diagonal(), 1 - weights)


@sharing
def test_each_image_has_a_partner_and_a_weight_of_its_own(config: Config) -> None:
    _, partners, weights, _ = mixed_numbered(config)
    assert len(set((partners - torch.arange(N)).tolist())) > N / 2
    assert len(set(weights.tolist())) > (1000 if config["mixing"] == "mixup" else 5)


@sharing
@pytest.mark.parametrize("n", [2, 3])
def test_every_other_image_is_a_partner_equally_often_and_none_its_own(config: Config, n: int) -> None:
    mix, generator = built(config), seeded()
    targets = torch.stack([mix(*numbered(n), generator)[1] for _ in range(600)])
    partners = (targets * (1 - torch.eye(n)) > 0).double().mean(dim=0)
    expected = (1 - torch.eye(n, dtype=torch.float64)) / (n - 1)
    torch.testing.assert_close(partners, expected, atol=0.1, rtol=0)


@kinds
def test_a_batch_of_one_stays_as_it_is(config: Config) -> None:
    images, targets = numbered(1)
    mixed, mixed_targets = built(config)(images, targets, seeded())
    assert torch.equal(mixed, images)
    assert torch.equal(mixed_targets, targets)


@kinds
def test_the_same_generator_state_gives_the_same_batch_and_another_state_another(config: Config) -> None:
    batch = numbered(8)
    first, again, other = (built(config)(*batch, seeded(seed)) for seed in (3, 3, 4))
    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    assert not torch.equal(first[1], other[1])
    assert not torch.equal(first[1].diagonal(), other[1].diagonal())


@kinds
def test_what_goes_in_is_not_changed(config: Config) -> None:
    images, targets = numbered(8)
    built(config)(images, targets, seeded())
    assert torch.equal(images, numbered(8)[0])
    assert torch.equal(targets, numbered(8)[1])


@settings(deadline=None, max_examples=50)
@given(
    config=st.sampled_from([*KINDS, {"mixing": "mixup", "mixup_alpha": 0.05}]),
    shape=st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
    seed=st.integers(0, 2**32),
)
def test_pixels_stay_in_0_to_1_and_targets_add_up_to_1(config: Config, shape: tuple[int, ...], seed: int) -> None:
    images = noise(*shape, seed=seed)
    targets = functional.one_hot(torch.arange(shape[0]) % 2, 2).float()
    mixed, mixed_targets = built(config)(images, targets, seeded(seed))
    assert mixed.shape == images.shape
    assert mixed.dtype == torch.float32
    assert 0 <= mixed.min() <= mixed.max() <= 1
    torch.testing.assert_close(mixed_targets.sum(dim=1), torch.ones(shape[0]))


def test_mixup_adds_two_images_up_by_the_weights_of_their_targets() -> None:
    images, partners, weights, _ = mixed_numbered({"mixing": "mixup"})
    own = torch.arange(N)
    expected = ((1 - weights) * own + weights * partners) / N
    torch.testing.assert_close(images, expected.reshape(N, 1, 1, 1).expand_as(images))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_the_weights_of_mixup_have_the_moments_of_their_beta_distribution(alpha: float) -> None:
    config: Config = {"mixing": "mixup"} if alpha == 1 else {"mixing": "mixup", "mixup_alpha": alpha}
    _, _, weights, _ = mixed_numbered(config)
    beta = torch.distributions.Beta(alpha, alpha)
    assert float(weights.mean()) == pytest.approx(0.5, abs=4 * math.sqrt(float(beta.variance) / N))
    assert float(weights.var()) == pytest.approx(float(beta.variance), rel=0.15)


def test_without_an_alpha_the_weights_of_mixup_are_uniform() -> None:
    _, _, weights, _ = mixed_numbered({"mixing": "mixup"})
    shares = torch.histc(weights, bins=10, min=0, max=1) / N
    torch.testing.assert_close(shares, torch.full((10,), 0.1), atol=0.03, rtol=0)


def test_a_tiny_alpha_leaves_each_image_one_of_the_two() -> None:
    images, targets = built({"mixing": "mixup", "mixup_alpha": 1e-4})(*numbered(50), seeded())
    assert images.isfinite().all()
    assert (targets.amax(dim=1) > 0.99).sum() > 45


def test_a_collage_is_the_image_up_to_a_cut_and_its_partner_from_there_by_exactly_the_share_of_pixels() -> None:
    images, partners, weights, _ = mixed_numbered({"mixing": "collage"})
    for i in range(N):
        of_partner = images[i, 0] == partners[i] / N
        assert torch.equal(images[i, 0] == torch.tensor(i / N), ~of_partner)
        assert not of_partner[0, 0]
        assert of_partner[-1, -1]
        assert weights[i].item() == pytest.approx(of_partner.float().mean().item(), abs=1e-6)
        across = torch.equal(of_partner, of_partner[:, :1].expand(4, 6))
        down = torch.equal(of_partner, of_partner[:1].expand(4, 6))
        assert across != down
        assert torch.equal(images[i, 1], images[i, 0])


def test_a_collage_is_cut_along_either_axis_and_at_every_place() -> None:
    _, _, weights, _ = mixed_numbered({"mixing": "collage"})
    shares = {round(float(weight), 5) for weight in weights}
    rows, columns = {k / 4 for k in range(1, 4)}, {round(k / 6, 5) for k in range(1, 6)}
    assert shares == rows | columns
    only_rows = sum(abs(float(weight) - 0.25) < 1e-6 for weight in weights)
    assert only_rows / N == pytest.approx(1 / 2 / 3, abs=0.03)


def test_a_collage_is_made_of_pixels_that_were_there() -> None:
    images = torch.rand(6, 3, 5, 7, generator=seeded())
    mixed, _ = built({"mixing": "collage"})(images, torch.eye(6), seeded())
    assert ((mixed[:, None] == images[None]).any(dim=1)).all()


@pytest.mark.parametrize("size", [(1, 6), (6, 1), (1, 1)])
def test_a_side_of_one_pixel_is_not_cut(size: tuple[int, int]) -> None:
    images, targets = numbered(50, *size)
    mixed, mixed_targets = built({"mixing": "collage"})(images, targets, seeded())
    shares = (mixed == images).float().mean(dim=(1, 2, 3))
    torch.testing.assert_close(mixed_targets.diagonal(), shares)
    assert (shares == 1).any()
    assert (shares < 1).any() == (size != (1, 1))


def test_cutmix_replaces_a_box_by_that_of_the_partner_by_exactly_the_share_of_pixels() -> None:
    images, partners, weights, _ = mixed_numbered({"mixing": "cutmix"}, 300)
    for i in range(300):
        of_partner = images[i, 0] == partners[i] / 300 if weights[i] > 0 else torch.zeros(4, 6, dtype=torch.bool)
        assert torch.equal(images[i, 0] == torch.tensor(i / 300), ~of_partner)
        assert torch.equal(of_partner, of_partner.any(dim=1)[:, None] & of_partner.any(dim=0))
        assert weights[i].item() == pytest.approx(of_partner.float().mean().item(), abs=1e-6)
        assert torch.equal(images[i, 1], images[i, 0])


def sides_and_places(boxes: Tensor) -> list[Tensor]:
    """Of boxes of ones in zeros, (n, height, width): the area, the two sides, and where they begin."""
    rows, columns = boxes.amax(dim=2), boxes.amax(dim=1)
    return [boxes.sum(dim=(1, 2)), rows.sum(dim=1), columns.sum(dim=1), rows.argmax(dim=1), columns.argmax(dim=1)]


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_the_boxes_of_cutmix_are_distributed_as_those_of_torchvision(alpha: float) -> None:
    size, n = (24, 40), 1000
    reference = vision.transforms().CutMix(alpha=alpha, num_classes=2)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = [reference.make_params([torch.zeros(1, 3, *size)])["box"] for _ in range(n)]
    expected = torch.zeros(n, *size, dtype=torch.bool)
    for box, (left, top, right, bottom) in zip(expected, drawn, strict=True):
        box[top:bottom, left:right] = True
    mixed, targets = built({"mixing": "cutmix", "cutmix_alpha": alpha})(*numbered(n, *size), seeded())
    found = (mixed[:, 0] != (torch.arange(n) / n)[:, None, None]).float()
    torch.testing.assert_close(found.mean(dim=(1, 2)), 1 - targets.diagonal(), atol=1e-6, rtol=0)
    for ours, theirs in zip(sides_and_places(found), sides_and_places(expected.float()), strict=True):
        assert ks_2samp(ours.numpy(), theirs.numpy(), method="asymp").pvalue > 1e-3


def test_of_mixup_cutmix_each_image_gets_one_of_the_two_equally_often_with_its_own_alpha() -> None:
    config: Config = {"mixing": "mixup_cutmix", "mixup_alpha": 50.0, "cutmix_alpha": 1.0}
    images, targets = built(config)(*numbered(1000, 24, 24), seeded())
    is_mixup = (images == images[:, :, :1, :1]).flatten(1).all(dim=1) & (targets.amax(dim=1) < 1)
    assert is_mixup.float().mean().item() == pytest.approx(0.5, abs=0.05)
    assert (targets.diagonal()[is_mixup] - 0.5).abs().max() < 0.2
    expected = targets @ (torch.arange(1000) / 1000)
    torch.testing.assert_close(images.mean(dim=(1, 2, 3)), expected, atol=1e-4, rtol=0)
    kept = (images[:, 0] == (torch.arange(1000) / 1000)[:, None, None]).float().mean(dim=(1, 2))
    torch.testing.assert_close(kept[~is_mixup], targets.diagonal()[~is_mixup], atol=1e-6, rtol=0)
    _, of_half_boxes = built({**config, "cutmix_alpha": 50.0})(*numbered(1000, 24, 24), seeded())
    assert targets.diagonal()[~is_mixup].std() > 0.15 > of_half_boxes.diagonal()[~is_mixup].std()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"mixing": "cut"}, "`mixing` must be one of none, mixup, collage, cutmix, mixup_cutmix, but is 'cut'"),
        ({"mixing": "mixup", "mixup_alpha": 0}, "`mixup_alpha` must be above 0, but is 0"),
        ({"mixing": "mixup_cutmix", "mixup_alpha": 0}, "`mixup_alpha` must be above 0, but is 0"),
        ({"mixing": "cutmix", "cutmix_alpha": -1}, "`cutmix_alpha` must be above 0, but is -1"),
    ],
)
def test_a_wrong_value_is_refused_with_its_key_and_what_is_allowed(config: Config, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mixing.mixing(config)


def test_every_key_that_is_read_is_declared_and_every_declared_choice_builds() -> None:
    read: set[str] = set()
    keys = declared("trainables.augmentation.mixing")
    for name in keys["mixing"]:
        recording = Recording({"mixing": name})
        assert (mixing.mixing(recording) is None) == (name == "none")
        read |= recording.read
    assert read == set(keys)
