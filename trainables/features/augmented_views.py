"""AugmentedViews: a fixed number of augmented versions (views) of each image, whose features can be cached.

With random augmentation, frozen stages get a new view of each image in every epoch, so their features cannot be cached.
If the views are drawn only once, for all trials, their features can be cached. Each epoch then uses a random one of the
views of each image. This changes the training, so it is used only if `augmented_views` is set.
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
from trainables.hyperparameters import Config, read_optional_int

HYPERPARAMETERS = {
    "augmented_views": "number of augmented views of each image, drawn once, so that their features can be cached: "
    "each epoch uses one of them; at least 1; default none, which draws a new view in every epoch",
}
RANGES = {"augmented_views": "int >= 1"}

MAX_VIEWS = 2
"""The number of AugmentedViews, with different settings, that are cached for each part: the last used ones."""

_cached_views: weakref.WeakKeyDictionary[Part, OrderedDict[str, AugmentedViews]] = weakref.WeakKeyDictionary()
"""The cached AugmentedViews, by their part and key. The features in memory are found only for the same object."""


class AugmentedViews(Part):
    """The images of a part in `n` views each. View v of image i of the m images in the pool is row v * m + i.

    The views are not stored: `of_pool` computes them.
    """

    has_views = True

    def __init__(self, part: Part, recipe: recipes.Recipe, n: int, key: str) -> None:
        """`recipe` makes the views, and `key` identifies the recipe, its settings and `n`."""
        super().__init__(part.pool, part.labels, rows=part.rows, key=f"{part.key}/{key}")
        self._recipe = recipe
        self._n = n

    @property
    def n_pool(self) -> int:
        return self._n * len(self.pool)

    def of_pool(self, index: slice) -> Tensor:
        """Return the views in the rows `index`, float32 in 0..1.

        The start of `index` seeds the random numbers. So the same slice always returns the same views, but another
        slice returns other views for the same row.
        """
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
        """Return the rows of one random view of each image of this part, int64 (n,)."""
        views = torch.randint(self._n, (len(self),), generator=generator).to(self.labels.device)
        rows = torch.arange(len(self), device=views.device) if self.rows is None else self.rows
        return views * len(self.pool) + rows


def n_views(config: Config) -> int | None:
    """Return the number of views that `config` asks for, or None.

    A WrongValue if it is not allowed, or if `config` has no augmentation or has a mixing.
    """
    n = read_optional_int(config, "augmented_views")
    if n is not None and recipes.recipe(config) is None:
        raise WrongValue("`augmented_views` needs an `augmentation` that is not none, or `random_erasing` above 0")
    if n is not None and mixing.mixing(config) is not None:
        raise WrongValue("`augmented_views` cannot be combined with `mixing`: features of mixed images are not cached")
    return n


def build_views(config: Config, part: Part, mean: Tensor | None = None) -> AugmentedViews | None:
    """Return the views of `part` that `config` asks for, or None. `mean` is that of `recipes.recipe`.

    The same part and settings give the same object, as long as it is cached. Raises WrongValue like `n_views`.
    """
    n, recipe = n_views(config), recipes.recipe(config, mean)
    if n is None or recipe is None:
        return None
    settings = recipes.settings(config, mean)
    key = hashlib.blake2b(repr((n, settings, recipes.VERSION)).encode(), digest_size=16).hexdigest()
    cached = _cached_views.setdefault(part, OrderedDict())
    cached[key] = views = cached.pop(key, None) or AugmentedViews(part, recipe, n, key)
    while len(cached) > MAX_VIEWS:
        cached.popitem(last=False)
    return views
