"""What hpo does on a GPU: its tests on CUDA, and its benchmarks on a CUDA device, in under eight minutes.

    python benchmarks/gpu.py [--device cuda] [--only SECTION ...] [--results FILE] [--small]

It needs no network and no data. The sections are scripts of their own, each in a process of its own, one after another:

- tests: all tests that are marked `cuda`.
- fused_heads: 1,024 heads side by side against one after another.
- fine_tuning_speed: fine-tuning of ResNet-50 and ViT-S against a bare loop and the usual DataLoader script.
- shared_gpu: trials that share the GPU against one after another.
- synchronization: what reading the losses of each epoch costs.

A section that fails, or exceeds its time limit, is named with its last line, and the others go on. The exit status is
then 1. A target that was missed is no failure. The output is printed and written to `--results`, by default
benchmarks/RESULTS_GPU.md; with `--small`, nothing is written by default.

`--device cpu --small` runs tiny sizes of everything on a CPU, to see that it runs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from tabulate import tabulate

from benchmarks.report import machine, note

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "RESULTS_GPU.md"
TESTS = ("tests/trainables", "tests/runners")
SMALL_TESTS = ("tests/trainables/test_seeding.py",)
GRACE_SECONDS = 10
"""How much earlier than its limit a section is asked to print what it has."""
LIMITS = {"tests": 90, "fused_heads": 50, "fine_tuning_speed": 190, "shared_gpu": 100, "synchronization": 40}
"""The time limit of each section in seconds. Together they are less than eight minutes."""
HEADER = ("section", "seconds", "limit", "result")


@dataclass(frozen=True)
class Outcome:
    """How a section ended."""

    section: str
    seconds: float
    text: str
    """What it printed on standard output, or the last lines of pytest."""
    failure: str | None
    """Why it failed. None if it did not."""

    @property
    def result(self) -> str:
        """The outcome in a few words."""
        if self.failure is not None:
            return self.failure
        if self.section == "tests":
            return self.text.strip().splitlines()[-1]
        counts = {word: self.text.count(f"- {word}") for word in ("reached", "MISSED", "left out")}
        return ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "measured"


def command(section: str, device: str, *, small: bool) -> list[str]:
    """The arguments of Python that run a section."""
    if section == "tests":
        return ["-m", "pytest", "-p", "no:cacheprovider", "-m", "cuda", *(SMALL_TESTS if small else TESTS)]
    words = [f"benchmarks/{section}.py", "--device", device]
    if section == "fused_heads":
        return [*words, *(["--quick", "--epochs", "1"] if small else ["--heads", "1024"])]
    if section == "fine_tuning_speed" and not small:
        words += ["--seconds", str(LIMITS[section] - GRACE_SECONDS)]
    return [*words, "--small"] if small else words


def run(section: str, arguments: list[str], limit: float) -> Outcome:
    """Run Python with `arguments` in a process group of its own, and end the group after `limit` seconds."""
    started = time.perf_counter()
    words = [sys.executable, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            words, cwd=ROOT, env=environment, stdout=output, stderr=errors, start_new_session=True
        )
        try:
            status: int | None = process.wait(limit)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _kill_group(process)
        output.seek(0)
        errors.seek(0)
        text, complaints = output.read(), errors.read()
    failure = None
    if status != 0:
        last = next((line.strip() for line in reversed((complaints or text).splitlines()) if line.strip()), "no output")
        how = f"stopped after {limit:g} s" if status is None else f"failed with exit status {status}"
        failure = f"{how}: {last}"
        print(complaints[-4000:], file=sys.stderr)
    return Outcome(section, time.perf_counter() - started, text, failure)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the process group that a process leads."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def report(outcomes: list[Outcome], begun: str, device: str) -> str:
    """The table of all sections, then what each printed."""
    name = torch.cuda.get_device_name(device) if device != "cpu" else "CPU"
    rows = [[each.section, f"{each.seconds:.0f}", LIMITS[each.section], each.result] for each in outcomes]
    table = tabulate(rows, HEADER, "github", disable_numparse=True)
    printed = [each.text.strip() for each in outcomes if each.section != "tests" and each.text.strip()]
    return "\n\n".join([f"## On {name}", f"{begun}.", table, *printed])


def arguments() -> argparse.Namespace:
    """What was typed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--only", nargs="+", choices=LIMITS, default=list(LIMITS), metavar="SECTION")
    parser.add_argument("--results", type=Path, help=f"the file to write; default {RESULTS.relative_to(ROOT)}")
    parser.add_argument("--small", action="store_true", help="tiny sizes: a smoke test, no measurement")
    return parser.parse_args()


def main() -> int:
    """Run the sections, and return the exit status."""
    typed, begun = arguments(), machine()
    if typed.device != "cpu" and not torch.cuda.is_available():
        print(f"--device {typed.device}: torch finds no CUDA device (allowed here: --device cpu)", file=sys.stderr)
        return 2
    outcomes = []
    for section in typed.only:
        note(f"{section}, at most {LIMITS[section]} s")
        outcomes.append(run(section, command(section, typed.device, small=typed.small), LIMITS[section]))
        note(f"{section}: {outcomes[-1].result}")
    text = report(outcomes, begun, typed.device)
    print(text)
    results = typed.results or (None if typed.small else RESULTS)
    if results is not None:
        results.write_text(f"# Measured on a GPU\n\nWritten by `make gpu`. RESULTS.md says how to read it.\n\n{text}\n")
    return int(any(outcome.failure is not None for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
