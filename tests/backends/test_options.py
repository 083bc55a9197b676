"""The checks that the bundled backends share, and what holds of all of them from process to process."""

import os
import subprocess
import sys
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from hpo.backends._options import needs, seed32
from hpo.errors import UserError
from tests.backends.contract import SPACE
from tests.backends.fates import MIXED
from tests.backends.simulation import play


def test_a_missing_extra_is_a_mistake_that_says_how_to_install_it() -> None:
    with pytest.raises(UserError, match=r"'no_such_package'; this needs: pip install 'hpo\[bohb\]'$"), needs("bohb"):
        import no_such_package  # type: ignore[import-not-found]  # noqa: F401


def test_what_an_extra_warns_of_on_import_is_kept_from_the_user() -> None:
    with needs("bohb"):
        warnings.warn("an old habit of a library", DeprecationWarning, stacklevel=1)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.0, True, None])
def test_a_seed_that_numpy_would_refuse_is_a_mistake(seed: object) -> None:
    with pytest.raises(UserError, match="`seed` must be a whole number of at least 0 and at most 4294967295"):
        seed32(seed)


BACKENDS: dict[str, dict[str, Any]] = {
    "optuna": {},
    "asha": {"searcher": "tpe", "brackets": 2},
    "bohb": {"num_samples": 4},
    "freeze_thaw": {},
    "random": {},
    "grid": {},
}


def suggestions() -> str:
    """What each backend suggests in a search of 15 trials."""
    backends = {name: import_module(f"hpo.backends.{name}") for name in BACKENDS}
    searches = [
        play(backends[name].build(SPACE, seed=7, **options), SPACE, trials=15, fate=MIXED)
        for name, options in BACKENDS.items()
    ]
    return "\n".join(str([step.suggestion for step in search.asked()]) for search in searches)


@pytest.mark.slow
def test_another_process_answers_alike_however_it_hashes_strings() -> None:
    root, hash_seed = Path(__file__).parents[2], "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    other = subprocess.run(
        [sys.executable, "-c", "from tests.backends.test_options import suggestions; print(suggestions())"],
        cwd=root,
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert other == suggestions() + "\n"
    assert other.count("Suggestion") > 75
