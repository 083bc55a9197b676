"""What a study says of itself in a few lines of text (floor 4): its progress, its tables, its tests."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo import export
from hpo.study import Study, is_locked

if TYPE_CHECKING:
    from pandas import DataFrame


def lines(folder: Path) -> list[str]:
    """How far a study is: who searches it, its trials by state, what it spent, its best."""
    study = Study.reopen(folder)
    ledger = study.ledger(write=False)
    try:
        history, finished, elapsed = ledger.history, ledger.finished, ledger.recorded
    finally:
        ledger.close()
    states = Counter(export.state(trial, closed=finished is not None).value for trial in history.trials.values())
    counts = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "none yet"
    text = [
        f"study    {study.name}: {_phase(folder, finished)}",
        f"search   {study.space.name} by {study.settings.backend}, seed {study.settings.seed}",
        f"trials   {len(history.trials)}: {counts}",
        f"epochs   {history.n_epochs} trained, {history.n_saved} saved by stopping",
        f"time     {elapsed:.0f} s of search",
    ]
    best = history.incumbent
    if best is not None:
        config = ", ".join(f"{key}={value}" for key, value in best.config.items())
        text.append(f"best     {study.space.objective} {best.loss:.4f}, trial {best.number}: {config}")
    return text


def _phase(folder: Path, finished: str | None) -> str:
    if is_locked(folder):
        return "being searched or tested now"
    return f"finished, {finished}" if finished else f"cut short; `hpo resume {folder.name}` goes on"


def test_lines(content: dict[str, Any]) -> list[str]:
    """The results of `hpo test`: test beside validation, mean and spread over seeds, and the count of looks."""
    text = []
    for result in content["results"]:
        n_seeds = len(result["seeds"])
        how = f"{n_seeds} seed{'s' * (n_seeds > 1)}, {result['protocol']}, {result['stopping_epoch']} epochs"
        text.append(
            f"trial {result['trial']}: test accuracy {_spread(result['test_accuracy'])}, "
            f"validation accuracy {_spread(result['val_accuracy'])} ({how})"
        )
    n_looks = content["looks"]
    text.append(f"The held-out data of this study has been looked at {n_looks} time{'s' * (n_looks != 1)}.")
    return text


def table_text(frame: DataFrame) -> str:
    """A table for a terminal, whatever its width."""
    shown = frame.map(export.cell)
    return str(shown.to_string(index=False))


def _spread(spread: dict[str, Any]) -> str:
    if spread["mean"] is None:
        return "not finite"
    return f"{spread['mean']:.4f}" + (f" ± {spread['std']:.4f}" if spread["std"] is not None else "")
