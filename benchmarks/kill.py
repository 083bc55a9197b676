"""Kill searches at random moments, many times, and see that nothing is lost, trained twice or counted twice.

Real searches by BOHB on digits, typed as a user would, killed by SIGKILL after a random time:

- inline: the driver is killed. At the end, the record must equal that of a search that was never
  killed, event for event (but for the seconds that things took).
- processes: the driver, a worker, or both at once. At the end, each trial has each epoch once, in
  order; and no epoch was trained after a kill that was on record before it.

    python benchmarks/kill.py [--kills 50] [--seed 0]

Exits with 1, naming what was lost, if anything was.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import psutil

from hpo.record import Event, History, StudyFolder
from hpo.trial import Report

ROOT = Path(__file__).parents[1]
SLOTS = 2
SPACE = {"task.regime": "benchmarks.counted", "space.batch_size.choices": "[64, 128]", "fidelity.high": "9"}
Epoch = tuple[str, int]


class Killed:
    """One study that is killed again and again until it is done."""

    def __init__(self, folder: Path, runner: str, seed: int, rng: random.Random) -> None:
        self.folder, self.runner, self.seed, self.rng = folder, runner, seed, rng
        self.log = folder.parent / f"{folder.name}.trained"
        self.log.touch()
        self.kills: dict[str, int] = {}
        self.problems: list[str] = []
        self.snapshots: list[tuple[int, set[Epoch]]] = []
        """At each kill: how many epochs had been begun, and which were on record."""

    def run(self, kills_wanted: int) -> None:
        """Start and kill the study until it is done, or killed often enough; then let it end."""
        while sum(self.kills.values()) < kills_wanted:
            driver = self._start()
            if self._kill_at_random(driver):
                return
        self._start().wait()

    def check(self, whole: History | None) -> None:
        """Note what was lost or done twice; `whole` is the record that an undisturbed search made."""
        history = read(self.folder)
        for trial in history.trials.values():
            seen = [report.fidelity for report in trial.reports]
            if seen != list(range(1, trial.epoch + 1)):
                self.problems.append(f"trial {trial.number} has the epochs {seen}")
        if history.running:
            self.problems.append(f"the trials {sorted(history.running)} were left running")
        if whole is not None and timeless(history.events) != timeless(whole.events):
            self.problems.append("the record differs from that of a search that was never killed")
        begun = self._begun()
        for n_begun, recorded in self.snapshots:
            again = [epoch for epoch in begun[n_begun:] if epoch in recorded]
            if again:
                self.problems.append(f"{len(again)} epochs on record were trained again, first {again[0]}")

    def _start(self) -> subprocess.Popen[bytes]:
        verb = command("resume", self.folder) if (self.folder / "study.yaml").exists() else self._search()
        environment = {**os.environ, "HPO_TRAINED": str(self.log)}
        return subprocess.Popen(verb, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def _search(self) -> list[str]:
        return search(self.folder, self.runner, self.seed)

    def _kill_at_random(self, driver: subprocess.Popen[bytes]) -> bool:
        """Kill the driver, its worker or both at a random moment; whether the study was done before."""
        victims = self.rng.choice(["driver"] if self.runner == "inline" else ["driver", "worker", "both"])
        # Half of the kills fall anywhere from the start on, half shortly after an epoch has begun.
        if self.rng.random() < 0.5:
            moment = time.monotonic() + self.rng.uniform(0, 6)
        else:
            n_begun = len(self._begun())
            while driver.poll() is None and len(self._begun()) == n_begun:
                time.sleep(0.005)
            moment = time.monotonic() + self.rng.expovariate(1 / 0.4)
        while time.monotonic() < moment and driver.poll() is None:
            time.sleep(0.002)
        if driver.poll() is not None:
            return self._ended(driver)
        workers = [child for child in children(driver.pid) if "spawn_main" in " ".join(cmdline(child))]
        if victims != "worker":
            driver.send_signal(signal.SIGKILL)
            driver.wait()
        if victims != "driver" and workers:
            self.rng.choice(workers).kill()
        elif victims == "worker":
            victims = "driver"
            driver.send_signal(signal.SIGKILL)
        self.kills[victims] = self.kills.get(victims, 0) + 1
        self.snapshots.append((len(self._begun()), self._recorded()))
        if victims == "worker":  # the search goes on by itself; give it a while, then kill that too
            time.sleep(self.rng.uniform(0.5, 4))
            if driver.poll() is not None:
                return self._ended(driver)
            driver.send_signal(signal.SIGKILL)
            self.snapshots.append((len(self._begun()), self._recorded()))
            self.kills["driver"] = self.kills.get("driver", 0) + 1
        driver.wait()
        psutil.wait_procs(workers, timeout=10)
        return False

    def _ended(self, driver: subprocess.Popen[bytes]) -> bool:
        if driver.returncode != 0:
            assert driver.stderr is not None
            self.problems.append(f"a run ended with {driver.returncode}: {driver.stderr.read().decode()}")
        return True

    def _begun(self) -> list[Epoch]:
        lines = self.log.read_text().splitlines()
        return [(key, int(epoch)) for key, epoch in (line.split("\t") for line in lines if "\t" in line)]

    def _recorded(self) -> set[Epoch]:
        if not (self.folder / "study.yaml").exists():
            return set()
        study = StudyFolder.reopen(self.folder)
        recorded = set()
        for trial in read(self.folder).trials.values():
            key = json.dumps({**study.space.fixed, **trial.config}, sort_keys=True)
            recorded |= {(key, report.fidelity) for report in trial.reports}
        return recorded


def search(folder: Path, runner: str, seed: int) -> list[str]:
    """The command that begins a study."""
    words = ["--space", "digits_cnn", "--backend", "bohb", "--trials", "26", "--runner", runner, "--devices", "cpu"]
    sets = [word for key, value in SPACE.items() for word in ("--set", f"{key}={value}")]
    return command("search", folder, *words, "--slots", str(SLOTS), "--seed", str(seed), *sets)


def command(verb: str, folder: Path, *words: str) -> list[str]:
    """A command of hpo on one study."""
    name = ["--study", folder.name] if verb == "search" else [folder.name]
    return [sys.executable, "-m", "hpo.cli", verb, *name, "--studies", str(folder.parent), "-q", *words]


def read(folder: Path) -> History:
    """The record of a study as it is now."""
    return StudyFolder.reopen(folder).history()[0]


def timeless(events: list[Event]) -> list[Event]:
    """Events without the seconds that they took."""
    return [replace(event, seconds=0.0) if isinstance(event, Report) else event for event in events]


def children(pid: int) -> list[psutil.Process]:
    """The child processes of a process that may be gone."""
    try:
        return psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return []


def cmdline(process: psutil.Process) -> list[str]:
    """The command line of a process that may be gone."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def main() -> int:
    """Kill so often on each runner; print what was killed and what was lost."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50, help="kills in all, half on each runner")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    problems: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        for runner in ("inline", "processes"):
            left, round = options.kills // 2, 0
            while left > 0:
                seed = options.seed + round
                whole = None
                if runner == "inline":
                    folder = Path(scratch) / f"whole-{seed}"
                    environment = {**os.environ, "HPO_TRAINED": os.devnull}
                    subprocess.run(
                        search(folder, runner, seed), env=environment, cwd=ROOT, check=True, capture_output=True
                    )
                    whole = read(folder)
                killed = Killed(Path(scratch) / f"{runner}-{seed}", runner, seed, rng)
                killed.run(left)
                killed.check(whole)
                left -= sum(killed.kills.values())
                round += 1
                n_events, n_epochs = len(read(killed.folder).events), read(killed.folder).n_epochs
                kills = ", ".join(f"{count} of the {who}" for who, count in killed.kills.items()) or "none in time"
                verdict = "; ".join(killed.problems) or "nothing lost, nothing twice"
                print(
                    f"{runner:<9}  seed {seed}: kills: {kills}; {n_events} events, {n_epochs} epochs: {verdict}",
                    flush=True,
                )
                problems += killed.problems
    print(f"{options.kills} kills, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
