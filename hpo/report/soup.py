"""The section of a report about the soup of a study: what was averaged, and how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hpo.heldout import Soup
from hpo.heldout.trial_result import spoken
from hpo.quantities import with_plural
from hpo.report.content import Content
from hpo.report.tables import Table
from hpo.results.soup import choice
from hpo.space.objectives import searched_metric

PARTS = ("validation", "test")


@dataclass(frozen=True)
class SoupSection:
    """What the page shows of a soup."""

    words: str
    """Which trials were averaged, or why none were."""
    results: Table
    """The soup and the best single model on validation and on held-out data. No rows before the look."""
    look: str
    """That it was one look at held-out data, and how many the study has had. Empty before the look."""


def section(content: Content) -> SoupSection | None:
    """The section of a study, None if it has no soup."""
    soup = content.soup
    if soup is None:
        return None
    if not soup.test:
        again = f"hpo soup {content.study.name}"
        return SoupSection(f"A soup was begun and has no result yet: {again} goes on.", Table((), ()), "")
    what = "It was" if is_alone(soup) else "Both models were"
    n_looks = with_plural(content.test.n_looks, "look")
    images = "held-out data" if soup.n_test is None else with_plural(soup.n_test, "held-out image")
    look = f"{what} evaluated on {images} in one look. The study has had {n_looks} at it in all."
    return SoupSection(_words(soup), _results(content, soup), look)


def reached(soup: Soup) -> str:
    """What a soup and the best single model reached on held-out data, in a part of a sentence."""
    best = f"trial {soup.best.trial} reached an accuracy of {soup.best_test['accuracy']:.4f}"
    return best if is_alone(soup) else f"{best} and the soup one of {soup.test['accuracy']:.4f}"


def is_alone(soup: Soup) -> bool:
    """Whether no trial joined the best one."""
    return len(soup.chosen) == 1


def _words(soup: Soup) -> str:
    """Which trials were averaged, and how they were chosen."""
    weights = "" if is_alone(soup) else " Their weights are averaged into one model, which answers as fast as one."
    return f"{choice(soup)}{weights} It was chosen on the validation images, so its values there are too good."


def _results(content: Content, soup: Soup) -> Table:
    """The results of the best single model and of the soup."""
    rows = {f"best single model, trial {soup.best.trial}": (soup.best.validation, soup.best_test)}
    if not is_alone(soup):
        rows["soup"] = soup.validation, soup.test
    searched = searched_metric(content.study.space.objective)
    names = [name for name in dict.fromkeys((searched, "accuracy", "loss")) if name and name in soup.test]
    header = ["model", *(f"{part} {spoken(name)}" for part in PARTS for name in names)]
    cells = [[title, *(_cell(values, name) for values in found for name in names)] for title, found in rows.items()]
    return Table(header, cells)


def _cell(values: Mapping[str, float], name: str) -> str:
    return f"{values[name]:.4f}" if name in values else ""
