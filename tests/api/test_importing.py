"""What importing hpo imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

import hpo


def test_importing_hpo_imports_nothing_heavy() -> None:
    heavy = "('torch', 'optuna', 'pandas', 'numpy', 'yaml', 'click')"
    script = f"import sys, hpo; dir(hpo); sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.slow
def test_no_public_name_imports_torch_before_it_is_used() -> None:
    script = "import sys, hpo; [getattr(hpo, name) for name in hpo.__all__]; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_every_public_name_is_there() -> None:
    assert all(getattr(hpo, name) is not None for name in hpo.__all__)
    with pytest.raises(AttributeError, match="no attribute 'serach'"):
        _ = hpo.serach
