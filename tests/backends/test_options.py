"""The checks that the bundled backends share, and what holds of all of them from process to process."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from hpo.backends._options import needs, seed32
from hpo.errors import UserError


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


PLAYS = """
from importlib import import_module
from tests.backends.contract import SPACE
from tests.backends.fates import MIXED
from tests.backends.simulation import play
for name, options in [("optuna", {}), ("asha", {"searcher": "tpe", "brackets": 2}), ("bohb", {"num_samples": 4}),
                      ("freeze_thaw", {}), ("random", {}), ("grid", {})]:
    backend = import_module("hpo.backends." + name).build(SPACE, seed=7, **options)
    print([step.suggestion for step in play(backend, SPACE, trials=15, fate=MIXED).asked()])
"""


def test_another_process_answers_alike_however_it_hashes_strings() -> None:
    root = Path(__file__).parents[2]
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PLAYS],
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert outputs.pop().count("Suggestion") > 75
