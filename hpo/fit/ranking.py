"""The ranking of a fit: which pretrained models it searches with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from hpo.devices import main_device
from hpo.errors import UserError
from hpo.fit.request import FitRequest
from hpo.quantities import duration
from hpo.space import SearchSpace, Validation
from hpo.training import ranking

CURATED = ("resnet18", "resnet50", *ranking.SIZES["small"], *ranking.SIZES["base"])
"""The models to rank if the request names none. Those whose weights are at hand are taken, small ones first."""
N_FOLDS = 5
"""The folds of the cross-validation."""


@dataclass(frozen=True)
class RankedModel:
    """A pretrained model, as far as a fit needs to know it."""

    name: str
    accuracy: float
    """The accuracy of a linear probe, cross-validated on the images to search with."""
    low: float
    """The lower end of its 95 % interval."""
    high: float
    """The upper end."""
    seconds_per_image: float
    """The time of a forward pass for an image, on all cores or on the GPU."""
    image_size: int
    """The side of its images in pixels."""

    def to_dict(self) -> dict[str, Any]:
        """Return the model as plain values."""
        return asdict(self)


def candidates(request: FitRequest) -> list[str]:
    """Return the models to rank: those of the request, or the curated ones whose weights are at hand.

    Raises a UserError if there is none.
    """
    found = list(request.models) or ranking.weights_at_hand(dict.fromkeys(CURATED), request.data_folder)
    if not found:
        raise UserError(
            f"there are no weights of a pretrained model in {request.data_folder / 'weights'}: "
            "`hpo fetch --model resnet18` downloads some"
        )
    return found


def rank(space: SearchSpace, request: FitRequest, seconds: float, notify: Callable[[str], None]) -> list[RankedModel]:
    """Rank the models of a request on the data set of `space`, best first. `notify` is called with each model.

    The features are kept, so a ranking that was interrupted goes on with the next model. After `seconds`, no further
    model is begun. Raises the errors of `hpo.training.ranking.rank`.
    """
    names, deadline = candidates(request), time.monotonic() + seconds

    def in_time() -> Iterator[str]:
        for number, name in enumerate(names):
            if number and time.monotonic() > deadline:
                notify(f"no time to rank {', '.join(names[number:])}")
                return
            notify(f"{name} ({number + 1} of {len(names)})")
            yield name

    task = replace(space.task, validation=Validation(folds=N_FOLDS))
    device = main_device(request.devices)
    found = ranking.rank(task, in_time(), request.data_folder, device=device, notify=notify)
    return [
        RankedModel(each.model, each.accuracy, each.low, each.high, each.seconds_per_image, each.image_size[0])
        for each in found.models
    ]


def lines(ranked: Sequence[RankedModel]) -> list[str]:
    """Say how good each model is, best first."""
    width = max(len(model.name) for model in ranked)
    return [
        f"{model.name:<{width}}  accuracy {model.accuracy:.4f} ({model.low:.4f} to {model.high:.4f}), "
        f"{duration(model.seconds_per_image)} an image"
        for model in ranked
    ]
