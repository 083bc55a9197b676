"""Augmented views that are kept: some of each image, in place of a new one every epoch.

Frozen stages see a new view of an image in every epoch where augmentation is random, so nothing that they
make of it can be kept. With a stated number of views an image, drawn once for all trials, it can: each
epoch picks one of them at random. That is no longer the same training, so it is used only where
`augmented_views` asks for it.
"""

from __future__ import annotations

import hashlib
import weakref
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor

from trainables.augmentation import mixing, recipes
from trainables.data.dataset import Part
from trainables.errors import WrongValue
from trainables.hyperparameters import Config, optional

HYPERPARAMETERS = {
    "augmented_views": "views of each image that are drawn once, so that what frozen stages make of them is kept: "
    "each epoch sees one of them; at least 1; default none, which draws anew every epoch",
}

MAX_VIEWS = 2
"""Of a part, by different recipes, that are kept: the last used."""

_made: weakref.WeakKeyDictionary[Part, OrderedDict[str, AugmentedViews]] = weakref.WeakKeyDictionary()
"""By their part and key: what frozen stages make of views is found again as long as these live."""


class AugmentedViews(Part):
    """The images of a part, each in `n` views by a recipe: view number v of image number i is row v * m + i."""

    varied = True

    def __init__(self, part: Part, recipe: recipes.Recipe, n: int, key: str) -> None:
        super().__init__(part.pool, part.labels, rows=part.rows, key=f"{part.key}/{key}")
        self._recipe = recipe
        self._n = n

    @property
    def n_pool(self) -> int:
        return self._n * len(self.pool)

    def of_pool(self, index: slice) -> Tensor:
        """float32 of 0..1; the same for the same `index`, which must begin where it began before."""
        rows = torch.arange(index.start, index.stop)
        images = self.pool[(rows % len(self.pool)).to(self.pool.device)]
        if images.dtype == torch.uint8:
            images = images.float().div_(255)
        return self._recipe(images, torch.Generator().manual_seed(index.start))

    def to(self, device: str | torch.device) -> Part:
        raise NotImplementedError("views are made of a part that lies where it shall be")

    def take(self, indices: Sequence[int]) -> Part:
        raise NotImplementedError("views are of a whole part")

    def relabelled(self, labels: Tensor) -> Part:
        raise NotImplementedError("views keep their labels")

    def draw(self, generator: torch.Generator) -> Tensor:
        """The rows of one view of each image of the part, int64 (n,), at random."""
        drawn = torch.randint(self._n, (len(self),), generator=generator).to(self.labels.device)
        rows = torch.arange(len(self), device=drawn.device) if self.rows is None else self.rows
        return drawn * len(self.pool) + rows


def n_views(config: Config) -> int | None:
    """How many views `config` asks for; None where it asks for none. A ValueError names a wrong value and its key."""
    n = optional(config, "augmented_views")
    if n is not None and recipes.recipe(config) is None:
        raise WrongValue("`augmented_views` needs an `augmentation` that is not none")
    if n is not None and mixing.mixing(config) is not None:
        raise WrongValue("`augmented_views` goes with no `mixing`: what frozen stages make of mixed images is not kept")
    return n


def build_views(config: Config, part: Part) -> AugmentedViews | None:
    """The views that `config` asks for; None where it asks for none. A ValueError names a wrong value and its key."""
    n, recipe = n_views(config), recipes.recipe(config)
    if n is None or recipe is None:
        return None
    settings = sorted((key, config[key]) for key in recipes.HYPERPARAMETERS if config.get(key) is not None)
    key = hashlib.blake2b(repr((n, settings, recipes.VERSION)).encode(), digest_size=16).hexdigest()
    made = _made.setdefault(part, OrderedDict())
    made[key] = found = made.pop(key, None) or AugmentedViews(part, recipe, n, key)
    while len(made) > MAX_VIEWS:
        made.popitem(last=False)
    return found
