"""The options that say how a data set of files is cut into parts. Several data sets share them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from trainables.data.splits import RARE_CLASSES
from trainables.errors import SetupError
from trainables.hyperparameters import ABOVE_0_BELOW_1, Scalar, read_choice, read_float, read_int

NONE = "none"
"""The value of `held_out` that holds nothing out."""


class HeldOutCut(NamedTuple):
    """How the held-out part is cut off."""

    fraction: float | None
    """The fraction of each class that is held out. None to hold nothing out."""
    seed: int
    """The seed of the draw."""
    rare_classes: str
    """What to do with a class of too few images: one of `splits.RARE_CLASSES`."""


@dataclass(frozen=True)
class SplitOptions:
    """How files are cut into parts. None stands for the default. Raises SetupError if a value is not allowed.

    The fields are options of a data set, as a space file or `hpo data --option` gives them. They have the same names,
    but `held_out` is `held_out_fraction` here.
    """

    held_out_fraction: Scalar = None
    """The fraction that is held out, above 0 and below 1, or "none". The default is 0.2.

    Not allowed with a part `test`.
    """
    seed: Scalar = None
    """The seed of the draw, a whole number of at least 0. The default is 0."""
    rare_classes: Scalar = None
    """What to do with a class of too few images to be split: one of `splits.RARE_CLASSES`. The default is error."""
    group: Scalar = None
    """Images of one group stay in one part: `folder` or a regular expression, see `groups_of`. By default no groups."""

    def __post_init__(self) -> None:
        try:
            self.checked()
        except ValueError as error:
            hint = ", or none" if "`dataset.held_out`" in str(error) else ""
            raise SetupError(f"{error}{hint}") from None
        if self.group is not None and not (isinstance(self.group, str) and self.group):
            raise SetupError(
                f"`dataset.group` must be `folder` or a regular expression on the names of the files, "
                f"but is {self.group!r}"
            )

    def checked(self) -> HeldOutCut:
        """Return the values with their defaults. Raises WrongValue if one is not allowed."""
        given = {
            "dataset.held_out": self.held_out_fraction,
            "dataset.seed": self.seed,
            "dataset.rare_classes": self.rare_classes,
        }
        has_cut = self.held_out_fraction != NONE
        return HeldOutCut(
            fraction=read_float(given, "dataset.held_out", 0.2, ABOVE_0_BELOW_1) if has_cut else None,
            seed=read_int(given, "dataset.seed", 0, least=0),
            rare_classes=read_choice(given, "dataset.rare_classes", RARE_CLASSES[0], RARE_CLASSES),
        )
