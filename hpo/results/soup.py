"""The soup of a study in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hpo.heldout import Soup, TestRecord
from hpo.heldout.trial_result import spoken
from hpo.quantities import with_plural
from hpo.record import command
from hpo.results.status import look_lines
from hpo.space.objectives import searched_metric


def lines(soup: Soup, record: TestRecord, *, is_earlier: bool = False) -> Iterator[str]:
    """Say which trials were averaged, and compare the soup with the best single model.

    `is_earlier` says that the soup was finished before, so this command computed nothing.
    """
    if is_earlier:
        yield "The soup was finished before, and nothing was computed again."
    yield from _alone(soup, record) if len(soup.chosen) == 1 else _averaged(soup, record)


def choice(soup: Soup) -> str:
    """Say which trials were averaged, or why it is one trial alone."""
    n_others = len(soup.candidates) - 1
    if len(soup.chosen) > 1:
        numbers = ", ".join(map(str, soup.chosen))
        return f"The soup is the average of {len(soup.chosen)} of {n_others + 1} trials: {numbers}."
    added = "the only other trial" if n_others == 1 else f"one of the {n_others} other trials"
    why = (
        f"no average with {added} is as good on validation" if n_others else "no other trial could be averaged with it"
    )
    return f"The soup is trial {soup.best.trial} alone: {why}."


def _averaged(soup: Soup, record: TestRecord) -> Iterator[str]:
    """The lines about an average of two trials or more."""
    study = record.study
    yield choice(soup)
    name = searched_metric(study.space.objective)
    rows = (
        (f"best single model, trial {soup.best.trial}", soup.best.validation, soup.best_test),
        ("soup", soup.validation, soup.test),
    )
    for title, validation, held_out in rows:
        yield f"{title}: validation {_values(validation, name)}; test {_values(held_out, name)}{_on_images(soup)}"
    yield from look_lines(record)
    yield f"Write it:  {command('model', study.folder, '--soup', '--out', 'FOLDER')}"


def _alone(soup: Soup, record: TestRecord) -> Iterator[str]:
    """The lines about a soup of one trial, which is the best single model."""
    study, trial, name = record.study, soup.best.trial, searched_metric(record.study.space.objective)
    yield choice(soup)
    held_out = f"{_values(soup.test, name)}{_on_images(soup)}"
    yield f"trial {trial}: validation {_values(soup.validation, name)}; test {held_out}"
    yield f"The look at held-out data was made: it tested trial {trial}."
    yield from look_lines(record)
    yield f"Write it:  {command('model', study.folder, '--trial', str(trial), '--out', 'FOLDER')}"


def _on_images(soup: Soup) -> str:
    """The number of held-out images, in brackets. Empty if it is not on record."""
    return "" if soup.n_test is None else f" ({with_plural(soup.n_test, 'image')})"


def _values(metrics: Mapping[str, float], searched: str | None) -> str:
    names = dict.fromkeys(name for name in (searched, "accuracy", "loss") if name in metrics)
    return ", ".join(f"{spoken(str(name))} {metrics[str(name)]:.4f}" for name in names)
