"""An earlier study that informs a search: what is taken from it, what is recorded, and what is an error."""

from __future__ import annotations

import math
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hpo.errors import StudyError, UserError
from hpo.loop import Earlier, Session, begin, build_backend, resume, with_earlier_study
from hpo.loop.backend_building import new_backend
from hpo.loop.earlier_study import TOP, Informed, learnt, learnt_from_history
from hpo.record import Budget, Event, Ledger, Settings, Source, StudyFolder
from hpo.record.deletion import delete_if_empty
from hpo.record.earlier import read_earlier
from hpo.record.files import EARLIER_FILE
from hpo.space import Categorical, Fidelity, Float, SearchSpace
from hpo.trial import EarlierStudy
from tests import toy
from tests.loop import counting_backend
from tests.loop.searching import INLINE, history, timeless
from tests.loop.test_learnt_trials import recorded

FREEZE = replace(INLINE, backend="freeze_thaw")


def earlier_study(folder: Path) -> Path:
    """A study of random trials."""
    begin(folder, toy.space(), replace(INLINE, backend="random"), Budget(trials=6))
    return folder


def informed(source: Path, folder: Path, settings: Settings = FREEZE, **changed: Any) -> Informed:
    """The search in `folder` that `source` informs. `changed` are fields of the toy's space, and `top`."""
    earlier, space = Earlier(source, changed.pop("top", None)), replace(toy.space(), **changed)
    return with_earlier_study(space, settings, new_backend(space, settings), earlier, folder)


def interrupt_at(epochs: int) -> Callable[[Event, Ledger], None]:
    """Ctrl-C once so many epochs are on record."""

    def watch(event: Event, ledger: Ledger) -> None:
        if ledger.history.n_epochs >= epochs:
            raise KeyboardInterrupt

    return watch


def test_a_search_goes_on_exactly_after_its_earlier_study_was_deleted(tmp_path: Path) -> None:
    source = earlier_study(tmp_path / "source")
    earlier = Earlier(source)
    begin(tmp_path / "whole", toy.space(), FREEZE, Budget(epochs=70), earlier=earlier)
    learnt_from, used = informed(source, tmp_path / "s").earlier, StudyFolder.reopen(tmp_path / "whole").settings
    assert used.from_study is not None
    assert used.from_study.study == "source"
    interrupted = Session(watch=interrupt_at(11))
    with pytest.raises(KeyboardInterrupt):
        begin(tmp_path / "parts", toy.space(), FREEZE, Budget(epochs=70), earlier=earlier, session=interrupted)
    shutil.rmtree(source)
    with pytest.raises(KeyboardInterrupt):
        resume(tmp_path / "parts", session=Session(watch=interrupt_at(35)))
    resume(tmp_path / "parts")
    whole = history(tmp_path / "whole")
    assert timeless(history(tmp_path / "parts").events) == timeless(whole.events)
    assert StudyFolder.reopen(tmp_path / "parts").earlier() == learnt_from
    begin(tmp_path / "plain", toy.space(), FREEZE, Budget(epochs=70))
    assert timeless(history(tmp_path / "plain").events) != timeless(whole.events)


@pytest.mark.slow
def test_a_search_that_learns_and_is_killed_equals_one_that_never_was(tmp_path: Path) -> None:
    source = earlier_study(tmp_path / "source")
    begin(tmp_path / "whole", toy.space(), FREEZE, Budget(trials=9), earlier=Earlier(source))
    command = [sys.executable, "-m", "tests.loop.killed_searches", str(tmp_path / "killed"), "freeze_thaw"]
    begun = subprocess.run(
        [*command, "9", "--from", str(source)], capture_output=True, text=True, timeout=120, check=True
    )
    shutil.rmtree(source)
    ended = subprocess.run([*command, "12", "1000"], capture_output=True, text=True, timeout=240, check=True)
    assert (begun.stdout + ended.stdout).split() == [str(-signal.SIGKILL), str(-signal.SIGKILL), "0"]
    assert timeless(history(tmp_path / "killed").events) == timeless(history(tmp_path / "whole").events)


def test_what_is_learnt_is_recorded_to_the_last_digit(tmp_path: Path) -> None:
    space = SearchSpace("s", {"w": Categorical(((64, 64), (128,), None)), "x": Float(0, 1)}, Fidelity(3))
    known = recorded(
        space, [{"w": (64, 64), "x": 1 / 3}, {"w": None, "x": 0.1 + 0.2}], [[0.1, math.nan, math.inf], [0.3]]
    )
    found = learnt_from_history("a", space, known, space)
    study = StudyFolder(tmp_path / "s", space, replace(FREEZE, from_study=Source("a", "0", learns=True)), Budget())
    (tmp_path / "s").mkdir()
    study.begin(None, found).close()
    assert repr(StudyFolder.reopen(tmp_path / "s").earlier()) == repr(found)
    delete_if_empty(study)
    assert not (tmp_path / "s" / EARLIER_FILE).exists()


def test_a_record_of_it_that_is_missing_or_damaged_is_an_error(tmp_path: Path) -> None:
    earlier = Earlier(earlier_study(tmp_path / "source"))
    begin(tmp_path / "s", toy.space(), FREEZE, Budget(epochs=4), earlier=earlier)
    path = tmp_path / "s" / EARLIER_FILE
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(StudyError, match=r"earlier\.json\.gz: is damaged"):
        resume(tmp_path / "s", Budget(epochs=8))
    path.unlink()
    with pytest.raises(StudyError, match=r"earlier\.json\.gz: is missing"):
        resume(tmp_path / "s", Budget(epochs=8))


def test_the_settings_alone_do_not_name_an_earlier_study(tmp_path: Path) -> None:
    settings = informed(earlier_study(tmp_path / "source"), tmp_path / "s").settings
    with pytest.raises(UserError, match="name the earlier study by `earlier`"):
        begin(tmp_path / "s", toy.space(), settings, Budget(epochs=4))
    assert not (tmp_path / "s").exists()


def test_the_backend_of_a_search_with_an_earlier_study_is_built_once(tmp_path: Path) -> None:
    earlier = Earlier(earlier_study(tmp_path / "source"))
    settings, notes = replace(INLINE, backend=counting_backend.__name__, seed=4321), list[str]()
    session = Session(notify=notes.append)
    begin(tmp_path / "s", toy.space(), settings, Budget(trials=1), earlier=earlier, session=session)
    assert counting_backend.SEEDS.count(4321) == 1
    assert [note for note in notes if "tries the best of study 'source' first" in note]
    best = history(earlier.folder).ranked()[0]
    assert dict(history(tmp_path / "s").trials[0].config) == dict(best.config)


def test_another_earlier_study_makes_another_search(tmp_path: Path) -> None:
    earlier = Earlier(earlier_study(tmp_path / "source"))
    begin(tmp_path / "s", toy.space(), FREEZE, Budget(epochs=4), earlier=earlier)
    with pytest.raises(StudyError, match="with another earlier study"):
        begin(tmp_path / "s", toy.space(), FREEZE, Budget(epochs=4))
    with pytest.raises(StudyError, match="goes on with it"):
        begin(tmp_path / "s", toy.space(), FREEZE, Budget(epochs=4), earlier=earlier)


@pytest.mark.parametrize("backend", ["random", "optuna", "tests.loop.plain_backend"])
def test_another_backend_tries_the_best_first_and_says_that_it_learns_nothing_else(
    backend: str, tmp_path: Path
) -> None:
    source = earlier_study(tmp_path / "source")
    found = informed(source, tmp_path / "s", replace(INLINE, backend=backend))
    assert found.earlier is None
    used, best = found.settings.from_study, history(source).ranked()[:TOP]
    assert used is not None
    assert (used.top, used.learns) == (TOP, False)
    assert [dict(each) for each in used.first] == [dict(trial.config) for trial in best]
    note = f"the backend {backend} tries the best of study 'source' first, and learns nothing else from it"
    assert found.lines == [note]


def test_freeze_thaw_chooses_by_itself_unless_a_number_is_given(tmp_path: Path) -> None:
    source = earlier_study(tmp_path / "source")
    free = informed(source, tmp_path / "s").settings.from_study
    assert free is not None
    assert (free.top, free.first) == (None, ())
    given = informed(source, tmp_path / "s", top=2)
    assert given.settings.from_study is not None
    assert [dict(each) for each in given.settings.from_study.first] == [
        dict(t.config) for t in history(source).ranked()[:2]
    ]
    assert given.earlier is not None


@pytest.mark.parametrize("backend", ["random", "freeze_thaw"])
@pytest.mark.parametrize("top", [0, -1, 2.5, "3", True])
def test_a_number_of_best_trials_that_is_none_is_an_error(backend: str, top: Any, tmp_path: Path) -> None:
    settings = replace(INLINE, backend=backend)
    with pytest.raises(UserError, match="top must be a whole number of at least 1, but is "):
        informed(tmp_path / "source", tmp_path / "s", settings, top=top)


def test_a_backend_that_learns_nothing_refuses_an_earlier_study() -> None:
    earlier = EarlierStudy("a", ("x",), 9, ())
    with pytest.raises(UserError, match="'random' cannot learn from an earlier study: it has no method `learn`"):
        build_backend(toy.space(), replace(INLINE, backend="random"), earlier)


def test_what_cannot_inform_a_search_is_a_plain_error(tmp_path: Path) -> None:
    source = earlier_study(tmp_path / "source")
    searches: list[tuple[Path, dict[str, Any], str]] = [
        (tmp_path / "sorce", {}, "no study 'sorce' in .*; did you mean 'source'"),
        (source, {"objective": "val_error"}, "minimises val_loss, but this search minimises val_error"),
        (
            source,
            {"domains": {"q": Float(0, 1)}},
            "no hyperparameter in common .* searches .*x.*, and this space q",
        ),
        (
            source,
            {"domains": {"x": Float(2, 3)}},
            "no trial with a finite value in this space; see the values of x",
        ),
    ]
    for folder, changed, message in searches:
        with pytest.raises(UserError, match=message):
            informed(folder, tmp_path / "s", **changed)
    with pytest.raises(UserError, match="minimises val_loss, but this search minimises val_error"):
        informed(source, tmp_path / "s", replace(INLINE, backend="random"), objective="val_error")
    with pytest.raises(UserError, match="'source' cannot be informed by itself"):
        informed(source, source)
    space = SearchSpace("s", {"x": Float(0, 1)}, Fidelity(9))
    infinite = recorded(space, [{"x": 0.5}], [[math.inf]])
    with pytest.raises(StudyError, match="study 'a' has no trial with a finite value"):
        learnt_from_history("a", space, infinite, space)


def test_trials_outside_of_the_space_are_counted_in_one_line(tmp_path: Path) -> None:
    source = earlier_study(tmp_path / "source")
    xs = [float(str(trial.config["x"])) for trial in history(source).trials.values()]
    middle = sorted(xs)[3]
    narrow = replace(toy.space(), domains={**toy.space().domains, "x": Float(0, middle)})
    earlier, lines = learnt(StudyFolder.reopen(source), narrow)
    assert len(earlier.trials) == 4
    assert lines == ["2 of 6 trials of study 'source' do not lie in this space and are left out"]


def test_a_file_of_another_form_is_an_error(tmp_path: Path) -> None:
    from hpo.record.files import write_compressed

    write_compressed(tmp_path / "e", {"study": "a"})
    with pytest.raises(StudyError, match="e: is damaged, or was written by another version"):
        read_earlier(tmp_path / "e")
