"""Kill searches at random moments, many times, and see that nothing is lost, trained twice or counted twice.

Real searches by BOHB on digits, typed as a user would, killed by SIGKILL after a random time:

- inline: the driver is killed. At the end, the record must equal that of a search that was never
  killed, event for event (but for the seconds that things took).
- processes: the driver, a worker, or both at once. At the end, each trial has each epoch once, in
  order; and no epoch was trained after a kill that was on record before it.

    python benchmarks/kill.py [--kills 50] [--seed 0] [--storages journal sqlite postgresql] [--pace 1] [--trials 26]

With `postgresql`, the record is on a server of its own. The server is killed at random moments too, and starts
again after a while; the search waits for it, unless it has not begun yet. Each storage gets as many kills.
`--pace 3` spreads the kills over three times as long, on a machine that is busy.

Exits with 1, naming what was lost, if anything was.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil

from benchmarks.postgresql_server import PASSWORD, PostgresqlServer, postgresql_server
from benchmarks.report import block, machine
from hpo.record import Event, History, StudyFolder
from hpo.trial import Report

ROOT = Path(__file__).parents[1]
SLOTS = 2
SPACE = {"task.regime": "benchmarks.counted", "space.batch_size.choices": "[64, 128]", "fidelity.high": "9"}
STORAGES = ("journal", "sqlite", "postgresql")
NAMES = {"both": "driver and a worker at once"}
NO_ANSWER = re.compile(
    r"hpo: (storage|the ledger's storage failed|the record did not answer)\b.*"
    r"(connection|the database system is (starting up|shutting down|in recovery mode|not yet accepting))"
)
"""The error of a search whose server is not there, or goes away. Most of its words are PostgreSQL's."""
HEADER = ["storage", "runner", "seed", "kills", "events", "epochs", "at the end"]
Epoch = tuple[str, int]


class Killed:
    """One study that is killed again and again until it is done."""

    def __init__(self, folder: Path, runner: str, seed: int, rng: random.Random) -> None:
        self.folder, self.runner, self.seed, self.rng = folder, runner, seed, rng
        self.storage: str | None = None
        """The URL of the record. None is a journal."""
        self.server: PostgresqlServer | None = None
        """The server of the record, which is killed too."""
        self.pace, self.n_trials = 1.0, 26
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
        driver = self._start()
        driver.wait()
        self._ended(driver)

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
        words = search(self.folder, self.runner, self.seed, self.n_trials)
        return words if self.storage is None else [*words, "--storage", self.storage]

    def _kill_at_random(self, driver: subprocess.Popen[bytes]) -> bool:
        """Kill the driver, its worker, both or the server at a random moment; whether the study was done before."""
        candidates = ["driver"] if self.runner == "inline" else ["driver", "worker", "both"]
        victims = self.rng.choice([*candidates, "server"] if self.server is not None else candidates)
        # Half of the kills fall anywhere from the start on, half shortly after an epoch has begun.
        if self.rng.random() < 0.5:
            moment = time.monotonic() + self.pace * self.rng.uniform(0, 6)
        else:
            n_begun = len(self._begun())
            while driver.poll() is None and len(self._begun()) == n_begun:
                time.sleep(0.005)
            moment = time.monotonic() + self.pace * self.rng.expovariate(1 / 0.4)
        while time.monotonic() < moment and driver.poll() is None:
            time.sleep(0.002)
        if driver.poll() is not None:
            return self._ended(driver)
        workers = [child for child in children(driver.pid) if "spawn_main" in " ".join(cmdline(child))]
        if victims == "server":
            self._restart_server()
        elif victims != "worker":
            driver.send_signal(signal.SIGKILL)
            driver.wait()
        if victims in ("worker", "both") and workers:
            self.rng.choice(workers).kill()
        elif victims == "worker":
            victims = "driver"
            driver.send_signal(signal.SIGKILL)
        self._note_kill(victims)
        if victims in ("worker", "server"):  # the search goes on by itself; give it a while, then kill that too
            time.sleep(self.pace * self.rng.uniform(0.5, 4))
            if driver.poll() is not None:
                return self._ended(driver, server_was_away=victims == "server")
            driver.send_signal(signal.SIGKILL)
            self._note_kill("driver")
        driver.wait()
        psutil.wait_procs(workers, timeout=10)
        return False

    def _note_kill(self, victims: str) -> None:
        """Count a kill, and note what is on record before it and how many epochs have been begun since."""
        self.kills[victims] = self.kills.get(victims, 0) + 1
        recorded = self._recorded()
        self.snapshots.append((len(self._begun()), recorded))

    def _restart_server(self) -> None:
        """Kill the server of the record, and start it again after a while."""
        assert self.server is not None
        self.server.stop(crash=True)
        time.sleep(self.rng.uniform(0, 3))
        self.server.start()

    def _ended(self, driver: subprocess.Popen[bytes], *, server_was_away: bool = False) -> bool:
        """Note an error of a run that ended by itself. Returns whether the study is done.

        A run whose server goes away while it begins ends with an error that says so, and the next run goes on.
        """
        if driver.returncode == 0:
            return True
        assert driver.stderr is not None
        error = driver.stderr.read().decode()
        if server_was_away and driver.returncode in (1, 2) and is_about_server(error):
            return False
        self.problems.append(f"a run ended with {driver.returncode}: {error}")
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


def is_about_server(error: str) -> bool:
    """Whether the last line of what a run printed says that the server of its record did not answer."""
    return NO_ANSWER.match(error.strip().rpartition("\n")[2]) is not None


def search(folder: Path, runner: str, seed: int, trials: int = 26) -> list[str]:
    """The command that begins a study."""
    words = ["--space", "digits_cnn", "--backend", "bohb", "--trials", str(trials), "--runner", runner]
    sets = [word for key, value in SPACE.items() for word in ("--set", f"{key}={value}")]
    return command("search", folder, *words, "--devices", "cpu", "--slots", str(SLOTS), "--seed", str(seed), *sets)


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


@contextlib.contextmanager
def opened(storage: str, scratch: Path) -> Iterator[tuple[str | None, PostgresqlServer | None]]:
    """The URL of a storage, which is None for a journal, and its server if it has one."""
    if storage == "journal":
        yield None, None
    elif storage == "sqlite":
        yield f"sqlite:///{scratch / 'record.db'}", None
    else:
        with postgresql_server() as server:
            server.execute("CREATE DATABASE studies")
            os.environ["HPO_STORAGE_PASSWORD"] = PASSWORD
            yield server.url("studies", password=None), server


def undisturbed(folder: Path, seed: int, trials: int) -> History:
    """The record of a search that is never killed."""
    environment = {**os.environ, "HPO_TRAINED": os.devnull}
    subprocess.run(search(folder, "inline", seed, trials), env=environment, cwd=ROOT, check=True, capture_output=True)
    return read(folder)


def killed_often(killed: Killed, kills_wanted: int, scratch: Path) -> list[object]:
    """Kill a study so often or until it is done, and check it. Returns the last cells of its row of the table."""
    killed.run(kills_wanted)
    whole = None
    if killed.runner == "inline":
        whole = undisturbed(scratch / f"whole-{killed.folder.name}", killed.seed, killed.n_trials)
    killed.check(whole)
    history = read(killed.folder)
    kills = ", ".join(f"{count} of the {NAMES.get(who, who)}" for who, count in killed.kills.items()) or "none in time"
    verdict = "; ".join(killed.problems) or "nothing lost, nothing twice"
    return [kills, len(history.events), history.n_epochs, verdict]


def main() -> int:
    """Kill so often on each storage and runner; print what was killed and what was lost."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50, help="kills in all for each storage, half on each runner")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--storages", nargs="+", choices=STORAGES, default=["journal"])
    parser.add_argument("--pace", type=float, default=1.0, help="over how many times as long the kills are spread")
    parser.add_argument("--trials", type=int, default=26, help="the trials of each study")
    options = parser.parse_args()
    begun, rng = machine(), random.Random(options.seed)
    problems, rows, n_kills = list[str](), list[list[object]](), 0
    for storage in options.storages:
        with tempfile.TemporaryDirectory() as scratch, opened(storage, Path(scratch)) as (url, server):
            for runner in ("inline", "processes"):
                left, seed = options.kills // 2, options.seed
                while left > 0:
                    killed = Killed(Path(scratch) / f"{runner}-{seed}", runner, seed, rng)
                    killed.storage, killed.server = url, server
                    killed.pace, killed.n_trials = options.pace, options.trials
                    rows.append([storage, runner, seed, *killed_often(killed, left, Path(scratch))])
                    print(*rows[-1], sep="  ", file=sys.stderr, flush=True)
                    left -= sum(killed.kills.values())
                    n_kills += sum(killed.kills.values())
                    problems += killed.problems
                    seed += 1
    lines = [f"{n_kills} kills, {len(problems)} problems"]
    print(block("Searches that are killed at random moments", begun, HEADER, rows, lines))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
