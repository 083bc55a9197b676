"""What the user of `hpo fit` asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hpo.devices import plan_slots
from hpo.errors import UnknownName, UserError
from hpo.record import data_folder
from hpo.space import DatasetSpec
from hpo.space.objectives import OBJECTIVES

METRICS = tuple(objective.removeprefix("val_") for objective in OBJECTIVES)
"""What can be minimised: the objectives of a search, without the prefix `val_`."""


@dataclass(frozen=True)
class FitRequest:
    """The data, the time and the metric of a fit. Raises a UserError if a value is wrong."""

    images: str
    """The absolute path of a folder of images (see the data set `image_folder`), or of a table (see `manifest`)."""
    seconds: float
    """The time in all: ranking, searches, the test and the files that are written."""
    metric: str = "error"
    """What the search minimises on the validation part: one of `METRICS`."""
    models: tuple[str, ...] = ()
    """The models to rank. Empty for the curated list of those whose weights are at hand."""
    seed: int = 0
    data: str | None = None
    """The folder of the weights and data sets. None for $HPO_DATA."""
    devices: str = "auto"

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise UnknownName("metric (--metric)", self.metric, METRICS)
        if not self.seconds > 0:
            raise UserError(f"the time of a fit (--time) must be above 0, but is {self.seconds:g}s")
        if not Path(self.images).exists():
            raise UserError(f"there is no folder of images, and no table of images, at {self.images}")
        plan_slots(self.devices, None)

    @property
    def objective(self) -> str:
        """The objective of the searches."""
        return f"val_{self.metric}"

    @property
    def dataset(self) -> DatasetSpec:
        """The data set of the searches: a folder of images, or a table of them."""
        if Path(self.images).is_dir():
            return DatasetSpec("image_folder", {"folder": self.images})
        return DatasetSpec("manifest", {"file": self.images})

    @property
    def data_folder(self) -> Path:
        """The folder of the weights and data sets."""
        return data_folder(self.data)

    def to_dict(self) -> dict[str, Any]:
        """Return the request as plain values."""
        return {**asdict(self), "models": list(self.models)}

    def differences(self, recorded: Mapping[str, Any]) -> list[str]:
        """Return in words what differs from a recorded request."""
        own = self.to_dict()
        return [f"{name} {recorded.get(name)!r}, not {own[name]!r}" for name in own if own[name] != recorded.get(name)]
