"""Makes the page of a report and writes it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpo.errors import MachineError, UserError
from hpo.record import write_text
from hpo.report import charts, command, sentences, soup, tables
from hpo.report.content import Content, gather
from hpo.report.drawing import data_uri
from hpo.results import comparison_text
from hpo.results.rendering import check_output
from hpo.results.study_comparison import comparison_of

N_MISTAKES = 24
"""The largest number of misclassified images."""
TITLE = "<title>Report of the stud"
"""How the title of each report begins. A file without it is no report."""
N_BYTES = 1000
"""The number of bytes at the beginning of a report that hold the title."""
N_LIKELY = 2
"""The number of predictions below each of them."""


def write(folders: Sequence[Path], out: Path, *, with_images: bool = True) -> None:
    """Write the report of the studies in `folders` to the HTML file `out`, `with_images` of their data sets or without.

    Raises a UserError if `out` cannot be the file, or if matplotlib or scikit-learn is not installed; a StudyError if
    a folder contains no study or its record is missing; a MachineError if the file cannot be written. An old file is
    kept then. A file that is no report is never replaced: that is a UserError, too.
    """
    check_output(out)
    _check_is_report(out)
    try:
        importlib.import_module("matplotlib")
    except ImportError:
        raise UserError("a report needs matplotlib, which is not installed: pip install 'hpo[plot]'") from None
    write_text(out, page([gather(folder) for folder in folders], with_images=with_images))


def _check_is_report(out: Path) -> None:
    """Raise a UserError if there is a file `out` that is no report, so that it is not lost."""
    if not out.exists():
        return
    try:
        with out.open("rb") as file:
            beginning = file.read(N_BYTES)
    except OSError as error:
        raise MachineError(f"--out {out}: cannot be read: {error}") from None
    if beginning and not (beginning.startswith(b"<!DOCTYPE html>") and TITLE.encode() in beginning):
        raise UserError(f"--out {out}: there is a file that is no report of hpo; name another one, or remove it")


def page(contents: Sequence[Content], *, with_images: bool = True) -> str:
    """The report as the text of an HTML file."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("hpo.report")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    style, _, _ = loader.get_source(environment, "style.css")
    studies = [_study(content, f"s{i}", with_images) for i, content in enumerate(contents)]
    compared = _comparison(contents) if len(contents) > 1 else None
    names = ", ".join(content.study.name for content in contents)
    title = f"Report of the stud{'y' if len(contents) == 1 else 'ies'} {names}"
    return environment.get_template("page.html.j2").render(title=title, style=style, compared=compared, studies=studies)


def _study(content: Content, prefix: str, with_images: bool) -> dict[str, Any]:
    """What the template needs of one study. `prefix` begins the ids of its section."""
    return {
        "id": prefix,
        "name": content.study.name,
        "searched": sentences.searched(content),
        "found": sentences.found(content),
        "phase": sentences.phase(content),
        "is_simulated": content.is_simulated,
        "figures": sentences.key_figures(content),
        "best": tables.best(content),
        "certainty": sentences.certainty(content),
        "has_spread": any(each.test_accuracy.std is not None for each in content.test.trials),
        "curves": charts.learning_curves(content, f"{prefix}curves"),
        "best_so_far": charts.best_so_far(
            {content.study.space.metric: [(content.study.name, content.searched.curve)]}, f"{prefix}best"
        ),
        "importance": _importance(content, prefix),
        "test": _test(content, prefix),
        "soup": soup.section(content),
        "mistakes": _mistakes(content) if with_images else None,
        "cost": sentences.cost(content),
        "hyperparameters": tables.hyperparameters(content),
        "origin": tables.origin(content),
        "commands": command.commands(content),
        "left_out": command.left_out(content.study),
        "space": None if command.is_bundled(content.study) else command.space_text(content.study),
        "space_file": command.SPACE_FILE,
    }


def _comparison(contents: Sequence[Content]) -> dict[str, Any]:
    """What the template needs to compare the studies."""
    found = comparison_of([content.searched for content in contents])
    curves = {group.objective: [(each.study.name, each.curve) for each in group.studies] for group in found.groups}
    return {
        "tables": [
            tables.Table(comparison_text.header(group), [comparison_text.cells(group, each) for each in group.studies])
            for group in found.groups
        ],
        "sentences": comparison_text.sentences(found),
        "curves": charts.best_so_far(curves, "compared"),
    }


def _importance(content: Content, prefix: str) -> dict[str, Any]:
    from hpo.importance.words import basis, summary

    found = content.importance
    return {
        "summary": summary(found),
        "basis": basis(found),
        "average": found.average,
        "is_log": found.is_log,
        "bars": charts.importance_bars(found, f"{prefix}bars") if found.effects else None,
        "dependences": charts.partial_dependences(content.study.space, found, f"{prefix}dependences"),
    }


def _test(content: Content, prefix: str) -> dict[str, Any] | None:
    """The confusion matrix and the results per class of the best tested trial, on held-out data.

    Without a test, they are those of the best trial on validation images. None if these are not known either.
    """
    if content.matrices is not None:
        trial, matrices = content.matrices
    elif content.validation_matrix is not None:
        trial, matrix = content.validation_matrix
        matrices = [matrix]
    else:
        return None
    return {
        "is_held_out": content.matrices is not None,
        "certainty": sentences.of_test(content) if content.matrices is not None else [],
        "trial": trial,
        "n_seeds": len(matrices),
        "n_images": int(matrices[0].counts.sum()),
        "confusion": charts.confusion_matrix(matrices, f"{prefix}confusion"),
        "confused": tables.confused(matrices),
        "classes": tables.classes(matrices),
    }


def _mistakes(content: Content) -> dict[str, Any] | None:
    """The misclassified images that the report shows. None if none are stored."""
    stored = content.mistakes
    if stored is None or not len(stored.images):
        return None
    images = [
        {"uri": data_uri(image), "true": true, "top": [(name, f"{share:.2f}") for name, share in top[:N_LIKELY]]}
        for image, true, top in zip(stored.images[:N_MISTAKES], stored.true, stored.top, strict=False)
    ]
    return {"trial": stored.trial, "seed": stored.seed, "n_wrong": stored.n_wrong, "n": stored.n, "images": images}
