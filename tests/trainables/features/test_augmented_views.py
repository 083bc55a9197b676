from __future__ import annotations

import gc
import weakref

import pytest
import torch

from tests.trainables import toys
from tests.trainables.watching import counted
from trainables.data.dataset import Part, SearchData
from trainables.features.augmented_views import AugmentedViews, build_views
from trainables.hyperparameters import Config
from trainables.store import store
from trainables.trainable import TransferModel
from trainables.training import gradient_descent
from trainables.training.gradient_descent import Training

FLIPPED: Config = {"augmentation": "flip_rotation", "augmented_views": 3, "lr": 0.05, "batch_size": 16}


def data() -> SearchData:
    return SearchData(toys.part(40, seed=0), toys.part(20, seed=1), ("a", "b", "c"))


def model() -> TransferModel:
    made = toys.pretrained()
    made.mark_pretrained()
    made.freeze(made.stages)
    return made


def build(config: Config = FLIPPED, on: SearchData | None = None) -> Training:
    torch.manual_seed(3)
    return gradient_descent.build(config, model(), on or data(), "cpu")


def test_each_image_has_so_many_views_of_its_own_by_the_recipe_and_keeps_them() -> None:
    part = toys.part(40, seed=0)
    made = build_views(FLIPPED, part)
    assert made is not None
    assert made.n_pool == 120
    seen = made.of_pool(slice(0, 120)).reshape(3, 40, *part.shape)
    assert not any(torch.equal(seen[i], part.images) for i in range(3))
    assert not torch.equal(seen[0], seen[1])
    assert torch.equal(made.of_pool(slice(0, 120)).reshape(seen.shape), seen)
    flips = build_views({**FLIPPED, "degrees": 0.0, "flip_probability": 1.0}, part)
    assert flips is not None
    torch.testing.assert_close(flips.of_pool(slice(40, 80)), part.images.flip(3))
    assert flips.key != made.key != part.key


def test_views_may_be_those_of_random_operations_and_of_erasing_by_the_mean_of_the_network() -> None:
    part = toys.part(40, seed=0)
    config: Config = {"augmentation": "rand_augment", "random_erasing": 1.0, "augmented_views": 2}
    grey, black = (build_views(config, part, torch.full((1, 1, 1, 1), mean)) for mean in (0.5, 0.0))
    assert grey is not None
    assert black is not None
    assert grey.key != black.key
    seen = grey.of_pool(slice(0, 80))
    assert torch.equal(grey.of_pool(slice(0, 80)), seen)
    assert not torch.equal(black.of_pool(slice(0, 80)), seen)
    assert not any(torch.equal(seen[i], seen[40 + i]) for i in range(40))
    alone = build_views({"random_erasing": 1.0, "augmented_views": 2}, part)
    assert alone is not None
    erased = alone.of_pool(slice(0, 40))
    assert torch.equal(erased[erased != 0], part.images[erased != 0])


def test_an_epoch_draws_one_view_of_each_image() -> None:
    made = build_views(FLIPPED, toys.part(40, seed=0).take(range(40)))
    assert made is not None
    draws = torch.Generator().manual_seed(0)
    first, second = made.draw(draws), made.draw(draws)
    assert torch.equal(first % 40, torch.arange(40))
    assert not torch.equal(first, second)
    assert set((first // 40).tolist()) == {0, 1, 2}
    some = AugmentedViews(_rows([4, 9]), lambda images, generator: images, 3, "")
    assert (some.draw(draws) % 40).tolist() == [4, 9]


def _rows(rows: list[int]) -> Part:
    whole = toys.part(40, seed=0)
    return Part(whole.images, whole.labels[rows], rows=torch.tensor(rows))


def test_no_image_goes_through_the_frozen_stages_more_often_than_it_has_views() -> None:
    on = data()
    trained = build(on=on)
    with counted(trained.model) as counts:
        for _ in range(4):
            metrics = trained.step()
    assert counts["first"] == 3 * 40 + 20
    assert metrics["train_loss"] < 2
    again = build(on=on)
    with counted(again.model) as counts:
        assert [again.step() for _ in range(4)][-1] == metrics
    assert counts["first"] == 0


@pytest.mark.skipif(store.shared() is None, reason="the store is off")
def test_on_disk_the_views_are_found_again_for_images_that_were_read_anew() -> None:
    build().step()
    again = build()
    with counted(again.model) as counts:
        again.step()
    assert counts["first"] == 0


def test_of_many_recipes_the_views_of_the_last_used_are_kept() -> None:
    part = toys.part(40, seed=0)
    first, *others = (build_views({**FLIPPED, "degrees": degrees}, part) for degrees in (5.0, 6.0, 7.0))
    assert build_views({**FLIPPED, "degrees": 7.0}, part) is others[-1]
    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is None


def test_a_training_on_views_is_cut_short_and_goes_on_exactly() -> None:
    whole = build()
    expected = [whole.step() for _ in range(4)]
    first, second = build(), build()
    assert [first.step() for _ in range(2)] == expected[:2]
    second.load_state_dict(first.state_dict())
    assert [second.step() for _ in range(2)] == expected[2:]


def test_views_without_augmentation_or_with_mixing_are_refused() -> None:
    for wrong, words in (
        ({"augmentation": "none"}, "`augmented_views` needs an `augmentation`"),
        ({"mixing": "mixup"}, "`augmented_views` cannot be combined with `mixing`"),
        ({"augmented_views": 0}, "`augmented_views` must be a whole number of at least 1"),
    ):
        with pytest.raises(ValueError, match=words):
            build({**FLIPPED, **wrong})


def test_where_nothing_is_frozen_every_epoch_draws_new_views() -> None:
    torch.manual_seed(3)
    trained = gradient_descent.build(FLIPPED, toys.pretrained(), data(), "cpu")
    with counted(trained.model) as counts:
        trained.step()
        trained.step()
    assert counts["first"] == 2 * (40 + 20)
