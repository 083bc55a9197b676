"""The line on what a search believes of early epochs."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hpo.backends import freeze_thaw
from hpo.loop.simulation import play
from hpo.space import Fidelity, Float, SearchSpace
from hpo.trial import Config, Crash, Report, Suggestion

SPACE = SearchSpace("line", {"x": Float(0, 1)}, Fidelity(52))


def right(config: Config, epoch: int) -> Mapping[str, float]:
    """The better a configuration ends, the better it begins."""
    return {"val_loss": 0.1 + float(str(config["x"])) + 1 / epoch}


def misleading(config: Config, epoch: int) -> Mapping[str, float]:
    """The better a configuration ends, the worse it begins."""
    x = float(str(config["x"]))
    return {"val_loss": 0.1 + (1 - x if epoch < 13 else x)}


def reversed_at_26(config: Config, epoch: int) -> Mapping[str, float]:
    """The order turns round at the end of the long runs."""
    x = float(str(config["x"]))
    return {"val_loss": 0.1 + (1 - x if epoch < 26 else x)}


def noise(config: Config, epoch: int) -> Mapping[str, float]:
    """All configurations look alike."""
    return {"val_loss": 1 + hash((config["x"], epoch)) % 1000 / 1e5}


def said(curve: object, epochs: int) -> str:
    """The line after so many epochs, from the events on record. The search itself must have this belief."""
    backend = freeze_thaw.FreezeThaw(SPACE, 0)
    history = play(backend, SPACE, curve, epochs=epochs)  # type: ignore[arg-type]
    line = freeze_thaw.status(SPACE, [e for e in history.events if isinstance(e, Suggestion | Report | Crash)])
    _, trusted = backend._trusted()
    assert (str(trusted) in line) if trusted else line.startswith("early epochs are used")
    return line


def test_before_long_runs_early_epochs_are_used() -> None:
    assert said(right, 24) == "early epochs are used, and not checked yet: fewer than two long runs have begun"


def test_early_epochs_that_order_long_runs_rightly_are_used() -> None:
    line = said(right, 200)
    assert re.fullmatch(r"early epochs are used: epoch 3 is believed to order (9\d|100) % of pairs .*", line)


def test_epochs_that_mislead_are_ignored() -> None:
    line = said(misleading, 250)
    assert line.startswith("epochs before 13 mislead and are ignored: epoch 13 is believed to order ")
    assert line.endswith(" long runs)")


def test_if_all_earlier_epochs_mislead_only_late_ones_are_used() -> None:
    line = said(reversed_at_26, 300)
    assert line.startswith("epochs before 26 mislead and are ignored: no earlier epoch orders pairs as epoch 26 does (")


def test_epochs_that_show_noise_are_ignored() -> None:
    assert "show noise only and are ignored" in said(noise, 36)


def test_short_trainings_have_no_early_epochs() -> None:
    space = SearchSpace("short", SPACE.domains, Fidelity(5))
    assert freeze_thaw.status(space, []) == "all epochs are used: trials train at least 3 of 5 epochs"


def test_a_search_without_events_uses_early_epochs() -> None:
    assert freeze_thaw.status(SPACE, []).startswith("early epochs are used")
