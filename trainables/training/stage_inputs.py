"""The inputs of the first stage that trains: images, or features of the frozen stages before it from the cache."""

from __future__ import annotations

from functools import cache

from trainables.data.dataset import Part
from trainables.errors import SetupError
from trainables.features import feature_cache, fingerprint
from trainables.trainable import TransferModel
from trainables.training.epochs import Samples


class StageInputs:
    """The inputs of the stages of one training."""

    def __init__(self, *, bf16: bool) -> None:
        """`bf16` says whether features are computed with bfloat16 autocast."""
        self._bf16 = bf16
        # The weights of frozen stages do not change, so one fingerprint is enough. For all weights of a network, it
        # takes longer to compute than an epoch of the head.
        self.fingerprint = cache(fingerprint.of_stages)
        """Takes a model and a number of frozen stages. Returns the hash of what their features depend on."""
        self.fits = cache(self._compute_fits)
        """Takes a model, a part and a number of frozen stages. Returns whether there is room for their features."""

    def check_room(self, model: TransferModel, views: Part | None) -> None:
        """Raise a SetupError if there is no room for the features of augmented views."""
        if views is not None and not self.fits(model, views, model.n_frozen_first):
            raise SetupError(
                "`augmented_views`: there is no room for the features of so many views: ask for fewer",
                keys=("augmented_views",),
            )

    def first_stage(self, model: TransferModel, part: Part) -> int:
        """Return the first stage that runs in every epoch: the first that trains, or 0 if features cannot be cached.

        Views exist only as features. So if those of all frozen stages have no room, they are those of fewer stages.
        """
        n_frozen = model.n_frozen_first
        if part.has_views:
            return next(n for n in range(n_frozen, 0, -1) if self.fits(model, part, n))
        return n_frozen if n_frozen and self.fits(model, part, n_frozen) else 0

    def samples(self, model: TransferModel, part: Part, first_stage: int) -> Samples:
        """Return the inputs of stage number `first_stage` for `part`. All stages before it must be frozen."""
        if first_stage == 0:
            return Samples(part.pool, part.labels, part.rows)
        key = self.fingerprint(model, first_stage)
        values, rows = feature_cache.SHARED.get(model, part, first_stage, key, bf16=self._bf16)
        return Samples(values, part.labels, rows)

    def _compute_fits(self, model: TransferModel, part: Part, n_stages: int) -> bool:
        return feature_cache.SHARED.fits(model, part, n_stages, self.fingerprint(model, n_stages))
