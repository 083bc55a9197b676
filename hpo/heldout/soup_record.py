"""The soup of a study on disk: its choice and its results in `soup.json`, its weights in `soup.pt`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from hpo.errors import MachineError, StudyError
from hpo.record import SOUP_FILE, SOUP_MODEL, StudyFolder, keep_out_of_git, write_text


@dataclass(frozen=True)
class Ingredient:
    """A trained model that may become part of the soup."""

    trial: int
    seed: int
    """The seed that `test.json` would show."""
    protocol: str
    """`retrain` or `checkpoint`."""
    build_seed: int
    """The seed that its trainable was built with."""
    stopping_epoch: int
    validation: Mapping[str, float]
    """`loss` and the other metrics of this model alone on the validation part."""


@dataclass(frozen=True)
class Soup:
    """A soup, or the beginning of one that was interrupted."""

    origin: Mapping[str, Any]
    """All that the choice depends on, as plain values: the trials that may be chosen, the data, and the packages."""
    candidates: Sequence[Ingredient] = ()
    """The models that could be chosen, the best on the validation part first. Empty before they are trained."""
    chosen: Sequence[int] = ()
    """The trials whose weights are averaged, in the order in which they were added."""
    validation: Mapping[str, float] = field(default_factory=dict)
    """`loss` and the other metrics of the soup on the validation part."""
    weights: str | None = None
    """The SHA-256 of `soup.pt`."""
    test: Mapping[str, float] = field(default_factory=dict)
    """The metrics of the soup on held-out data. Empty before the look."""
    best_test: Mapping[str, float] = field(default_factory=dict)
    """The metrics of the best single model on held-out data, from the same look."""
    n_test: int | None = None
    """The number of held-out images. None before the look, and for a soup of an earlier version of hpo."""
    retrained: Sequence[int] = ()
    """The trials whose retraining this soup has begun, while their checkpoints are not deleted.

    A retraining that a test has begun is not among them, although the soup ends it: its checkpoint is the test's.
    """

    @property
    def best(self) -> Ingredient:
        """The best single model on the validation part."""
        return self.candidates[0]

    @property
    def ingredients(self) -> list[Ingredient]:
        """The chosen models."""
        by_trial = {each.trial: each for each in self.candidates}
        return [by_trial[number] for number in self.chosen]


def read(study: StudyFolder) -> Soup | None:
    """Read the soup of a study. None if there is none. Raises StudyError if the file is damaged."""
    path = study.folder / SOUP_FILE
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        candidates = [Ingredient(**each) for each in content.pop("candidates")]
        return Soup(candidates=candidates, **content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StudyError(f"{path}: is damaged, or was written by another version; delete it: {error}") from None


def write(study: StudyFolder, soup: Soup) -> None:
    """Write `soup.json` into the folder of a study."""
    write_text(study.folder / SOUP_FILE, json.dumps(asdict(soup), indent=2) + "\n")
    keep_out_of_git(study.folder)


def write_weights(study: StudyFolder, state: Mapping[str, Any], best: Mapping[str, Any]) -> str:
    """Write the weights of a soup and of the best single model. Returns the SHA-256 of the file.

    Raises MachineError if the file cannot be written.
    """
    from trainables.training import checkpoints

    path = study.folder / SOUP_MODEL
    try:
        checkpoints.write(path, {"state": dict(state), "best": dict(best)})
        return weights_hash(study) or ""
    except OSError as error:
        raise MachineError(f"{path}: cannot be written: {error}") from None


def read_weights(study: StudyFolder) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the weights of the soup and of the best single model. Raises StudyError if the file is damaged."""
    from trainables.training import checkpoints

    path = study.folder / SOUP_MODEL
    try:
        content = checkpoints.read(path)
    except checkpoints.DamagedCheckpoint as error:
        raise StudyError(f"{path}: is damaged; delete it, and make the soup again: {error}") from None
    if content is None:
        raise StudyError(f"{path}: is missing; make the soup again: `hpo soup {study.name}`")
    return content["state"], content["best"]


def weights_hash(study: StudyFolder) -> str | None:
    """Return the SHA-256 of `soup.pt`. None if there is no such file."""
    path = study.folder / SOUP_MODEL
    if not path.exists():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_unfinished(study: StudyFolder) -> bool:
    """Whether a soup was begun and has no result on held-out data yet."""
    soup = read(study)
    return soup is not None and not soup.test
