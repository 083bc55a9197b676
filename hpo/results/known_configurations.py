"""Known configurations for another search to try first: from a CSV file, or the best ones of a study."""

from __future__ import annotations

import csv
from pathlib import Path

from hpo.errors import SpaceError, UserError, nearest, shortened
from hpo.record import StudyFolder
from hpo.space import SearchSpace
from hpo.space.given_values import with_defaults
from hpo.spacefile.table_cells import cell_value
from hpo.trial import Config


def read_csv(path: Path, space: SearchSpace) -> list[Config]:
    """The configurations in a CSV file with a header, such as `hpo export` writes.

    Columns that are no hyperparameters of the space are left out. So are empty cells.

    Raises UserError if the file cannot be read, if no column is a hyperparameter, or if a value does not lie in the
    space.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = [(reader.line_num, row) for row in reader]
            columns = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{shortened(str(path))}: cannot be read: {reason}") from None
    names = [name for name in columns if name in space.domains]
    if not names:
        raise UserError(
            f"{path}: no column is a hyperparameter of the space{nearest(', '.join(columns), space.domains)}"
        )
    configs = []
    for line, row in rows:
        given = {name: cell_value(space.domains[name], text) for name in names if (text := row[name])}
        if not given:
            continue
        try:
            configs.append(with_defaults(space, given))
        except SpaceError as error:
            raise UserError(f"{path}:{line}: {error}") from None
    return configs


def best_of(study: StudyFolder, space: SearchSpace, top: int) -> tuple[list[Config], list[str]]:
    """The configurations of the `top` best trials of a study that lie in a space, and a line for each that does not.

    Hyperparameters that the space does not search are left out. One that the space searches and the study fixed has its
    fixed value, if this lies in the space. Raises UserError if none of the trials has a
    configuration that lies in the space.
    """
    history, _ = study.history()
    fixed = {name: value for name, value in study.space.fixed.items() if name in space.domains}
    fixed = {name: value for name, value in fixed.items() if space.domains[name].contains(value)}
    configs, lines = [], []
    for trial in history.ranked()[:top]:
        given = {name: value for name, value in trial.config.items() if name in space.domains}
        try:
            if not given:
                raise SpaceError("it has no hyperparameter of this space")
            all_known = {**space.defaults, **fixed, **given}
            active = {name: value for name, value in fixed.items() if space.active(name, all_known)}
            configs.append(with_defaults(space, {**active, **given}))
        except SpaceError as error:
            lines.append(
                f"trial {trial.number} of study {study.name!r} is left out: {'; '.join(str(error).split(chr(10)))}"
            )
    if not configs:
        reason = "\n".join(lines) or "it has no trial with a finite loss"
        raise UserError(f"study {study.name!r} has no configuration for this space: {reason}")
    return configs, lines
