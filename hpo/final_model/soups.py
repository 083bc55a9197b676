"""The weights of the soup of a study, which `hpo soup` made, as those of a model to write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpo.errors import UserError
from hpo.final_model.weights import Weights
from hpo.heldout import ModelResult, Soup, soup_record
from hpo.record import StudyFolder, command

if TYPE_CHECKING:
    from trainables.trainable import Trainable


def read(study: StudyFolder) -> Soup:
    """Read the soup of a study. Raises UserError if there is none, or if it has no test result yet."""
    soup = soup_record.read(study)
    if soup is None or not soup.test:
        what = "has no soup" if soup is None else "has a soup that is not finished"
        raise UserError(f"study {study.name!r} {what}: `{command('soup', study.folder)}` makes it")
    if soup.weights != soup_record.weights_hash(study):
        raise UserError(
            f"study {study.name!r}: the weights of its soup are missing or changed: "
            f"`{command('soup', study.folder)}` makes it again"
        )
    return soup


def weights(study: StudyFolder) -> Weights:
    """Return the weights of the soup of a study, and what is known of them. Raises the errors of `read`."""
    soup, (state, _) = read(study), soup_record.read_weights(study)
    best, validation = soup.best, {f"val_{name}": value for name, value in soup.validation.items()}
    result = ModelResult(best.trial, best.seed, validation, soup.test)
    return Weights(best.seed, "soup", best.build_seed, validation, state, result=result, soup=tuple(soup.chosen))


def load(trainable: Trainable, found: Weights) -> None:
    """Load the weights of a soup into the model of a trainable, which cannot train any more."""
    from trainables.inference import soup

    soup.model_of(trainable).load_state_dict(dict(found.state))
