"""The run of all sections on a GPU: what becomes of a section that fails."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from benchmarks import gpu


def test_the_sections_take_less_than_eight_minutes_together() -> None:
    assert sum(gpu.LIMITS.values()) < 8 * 60


def test_a_section_that_fails_is_named_with_its_last_line() -> None:
    outcome = gpu.run("fused_heads", ["-c", "print('some rows'); raise SystemExit('no such thing')"], limit=60)
    assert outcome.result == "failed with exit status 1: no such thing"
    assert outcome.text == "some rows\n"


def test_a_section_that_exceeds_its_limit_is_ended() -> None:
    outcome = gpu.run("fused_heads", ["-c", "import time; print('half', flush=True); time.sleep(60)"], limit=1)
    assert outcome.result == "stopped after 1 s: half"
    assert outcome.seconds < 30


def test_the_targets_of_a_section_are_counted() -> None:
    script = "print('- reached  a\\n- MISSED  b\\n- reached  c')"
    assert gpu.run("fused_heads", ["-c", script], limit=60).result == "2 reached, 1 MISSED"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.slow
def test_without_a_gpu_one_line_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "benchmarks/gpu.py"], cwd=gpu.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "--device cuda: torch finds no CUDA device (allowed here: --device cpu)\n"
