"""The ranking of a fit: which pretrained models it searches with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hpo.devices import main_device
from hpo.errors import UserError
from hpo.fit.request import FitRequest
from hpo.space import SearchSpace, Validation
from hpo.training import ranking
from hpo.training.ranking import RankedModel

CURATED = ("resnet18", "resnet50", *ranking.SIZES["small"], *ranking.SIZES["base"])
"""The models to rank if the request names none. Those whose weights are at hand are taken, small ones first."""
N_FOLDS = 5
"""The folds of the cross-validation."""


@dataclass(frozen=True)
class FitRanking:
    """The ranked models of a fit."""

    models: tuple[RankedModel, ...]
    """The best first."""
    precision: str
    """The precision in which networks are fastest here, and in which all trainings compute: `fp32` or `bf16`."""

    def to_dict(self) -> dict[str, Any]:
        """Return the ranking as plain values."""
        return {"models": [model.to_dict() for model in self.models], "precision": self.precision}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> FitRanking:
        """Return the ranking that `to_dict` returned, as JSON holds it."""
        return cls(tuple(RankedModel.from_dict(model) for model in content["models"]), content["precision"])


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


def any_candidate(request: FitRequest) -> str:
    """Return a model to look over the images with: if possible, one whose weights are at hand.

    Raises a UserError if there is no model to rank.
    """
    names = candidates(request)
    return (ranking.weights_at_hand(names, request.data_folder) or names)[0]


def rank(space: SearchSpace, request: FitRequest, seconds: float, notify: Callable[[str], None]) -> FitRanking:
    """Rank the models of a request on the data set of `space`. `notify` is called with each model.

    Before, the precision is chosen in which the first of them that can be built is fastest. The features are kept, so a
    ranking that was interrupted goes on with the next model. After `seconds`, no further model is begun. Raises the
    errors of `hpo.training.ranking`.
    """
    names, deadline = candidates(request), time.monotonic() + seconds
    device = main_device(request.devices)
    precision = ranking.faster_precision(space.task, names, request.data_folder, device)

    def in_time() -> Iterator[str]:
        for number, name in enumerate(names):
            if number and time.monotonic() > deadline:
                notify(f"no time to rank {', '.join(names[number:])}")
                return
            notify(f"{name} ({number + 1} of {len(names)})")
            yield name

    task, config = replace(space.task, validation=Validation(folds=N_FOLDS)), {"precision": precision}
    found = ranking.rank(task, in_time(), request.data_folder, config=config, device=device, notify=notify)
    return FitRanking(found.models, precision)


def lines(found: FitRanking) -> list[str]:
    """Say how good each model is, best first, and which precision was chosen."""
    width = max(len(each.model) for each in found.models)
    text = [
        f"{each.model:<{width}}  accuracy {each.accuracy:.4f} ({each.low:.4f} to {each.high:.4f}), "
        f"{1000 * each.seconds_per_image:.1f} ms an image"
        for each in found.models
    ]
    return [*text, "everything is computed in bfloat16, which is faster here"] if found.precision == "bf16" else text
