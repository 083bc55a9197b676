"""The soup of a study in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hpo.heldout import Soup, TestRecord
from hpo.heldout.trial_result import spoken
from hpo.record import command
from hpo.results.status import look_lines
from hpo.space.objectives import searched_metric


def lines(soup: Soup, record: TestRecord) -> Iterator[str]:
    """Say which trials were averaged, and compare the soup with the best single model."""
    study = record.study
    numbers = ", ".join(map(str, soup.chosen))
    if len(soup.chosen) == 1:
        yield f"No average of {len(soup.candidates)} trials is as good on validation as trial {numbers} alone."
    else:
        yield f"The soup is the average of {len(soup.chosen)} of {len(soup.candidates)} trials: {numbers}."
    name = searched_metric(study.space.objective)
    rows = (
        (f"best single model, trial {soup.best.trial}", soup.best.validation, soup.best_held_out),
        ("soup", soup.validation, soup.held_out),
    )
    for title, validation, held_out in rows:
        yield f"{title}: validation {_values(validation, name)}; test {_values(held_out, name)}"
    yield from look_lines(record)
    yield f"Write it:  {command('model', study.folder, '--soup', '--out', 'FOLDER')}"


def _values(metrics: Mapping[str, float], searched: str | None) -> str:
    names = dict.fromkeys(name for name in (searched, "accuracy", "loss") if name in metrics)
    return ", ".join(f"{spoken(str(name))} {metrics[str(name)]:.4f}" for name in names)
