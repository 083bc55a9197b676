"""Kill actors, nodes and drivers of searches on a Ray cluster at random moments, and see that nothing is lost.

A cluster of two nodes on this machine, each a real raylet. Real searches by BOHB on digits, typed as a user would. At a
random moment one of these is killed by SIGKILL: an actor, a node with all that runs on it, the driver, or the driver
and an actor together. A killed node comes back after a while. A killed driver is followed by `hpo resume`.

At the end, each trial has each epoch once, in order; no epoch was trained after a kill that was on record before it; no
trial crashed; and no actor is left.

    python benchmarks/kill_ray.py [--kills 50] [--seed 0] [--url]

With `--url`, the checkpoints are at a URL and not in the folder of the study. Exits with 1, naming what was lost, if
anything was.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.kill import Killed, cmdline, read, search
from benchmarks.ray_nodes import Nodes

VICTIMS = ("actor", "node", "driver", "driver and actor")
SECONDS = 120.0
"""How long a killed search may take to train its next epoch."""


class KilledOnRay(Killed):
    """One study on a Ray cluster whose parts are killed again and again until it is done."""

    def __init__(self, folder: Path, seed: int, rng: random.Random, nodes: Nodes, url: str | None) -> None:
        super().__init__(folder, "ray", seed, rng)
        self.nodes, self.url = nodes, url

    def run(self, kills_wanted: int) -> None:
        """Start the study, and kill parts of it until it is done or was killed often enough; then let it end."""
        driver = self._start()
        while sum(self.kills.values()) < kills_wanted and self._wait(driver):
            victim = self.rng.choice(VICTIMS)
            actors = self._actors()
            if "actor" in victim and not actors:
                continue
            if victim.startswith("driver"):
                driver.send_signal(signal.SIGKILL)
                driver.wait()
            if victim.endswith("actor"):
                self._kill(self.rng.choice(actors))
            if victim == "node":
                self.nodes.kill(self.nodes.nodes.pop(self.rng.randrange(len(self.nodes.nodes))))
            self.kills[victim] = self.kills.get(victim, 0) + 1
            self.snapshots.append((len(self._begun()), self._recorded()))
            if victim == "node":
                time.sleep(self.rng.uniform(0, 4))
                self.nodes.nodes.append(self.nodes.add())
            if driver.returncode is not None:
                driver = self._start()
        if driver.wait() != 0:
            self._ended(driver)

    def _search(self) -> list[str]:
        words = ["--ray-address", self.nodes.address, "--resources", "cpu=1"]
        return search(self.folder, self.runner, self.seed) + words + (["--checkpoints", self.url] if self.url else [])

    def _wait(self, driver: subprocess.Popen[bytes]) -> bool:
        """Wait for a random moment after an epoch has begun. Returns whether the search still runs."""
        n_begun, deadline = len(self._begun()), time.monotonic() + SECONDS
        while driver.poll() is None and len(self._begun()) == n_begun:
            if time.monotonic() > deadline:
                self.problems.append(f"no epoch was begun for {SECONDS:g} seconds after a kill")
                driver.kill()
            time.sleep(0.01)
        moment = time.monotonic() + self.rng.expovariate(1 / 0.5)
        while driver.poll() is None and time.monotonic() < moment:
            time.sleep(0.005)
        if driver.poll() is None:
            return True
        self._ended(driver)
        return False

    def _actors(self) -> list[psutil.Process]:
        raylets = [psutil.Process(node.all_processes["raylet"][0].process.pid) for node in self.nodes.nodes]
        started = [child for raylet in raylets for child in raylet.children(recursive=True)]
        return [child for child in started if "RayWorker" in " ".join(cmdline(child))]

    @staticmethod
    def _kill(process: psutil.Process) -> None:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            return

    def check_ended(self) -> None:
        """Note trials that crashed, actors that are left, and checkpoints that nobody needs."""
        self.check(None)
        history = read(self.folder)
        self.problems += [f"trial {trial.number} crashed: {trial.crash}" for trial in history.crashed]
        deadline = time.monotonic() + 10
        while self._actors() and time.monotonic() < deadline:
            time.sleep(0.1)
        self.problems += [f"an actor is left: {process}" for process in self._actors()]
        left = [path.name for path in (self.folder / "checkpoints").iterdir() if path.suffix not in (".pt", ".txt")]
        if left:
            self.problems.append(f"files are left beside the checkpoints: {left}")


def main() -> int:
    """Kill so often; print what was killed and what was lost."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--url", action="store_true", help="keep the checkpoints at a URL")
    options = parser.parse_args()
    rng, problems, left, seed = random.Random(options.seed), list[str](), options.kills, options.seed
    scratch = Path(tempfile.mkdtemp())
    os.environ["HPO_CACHE"] = str(scratch / "store")
    nodes = Nodes()
    try:
        while left > 0:
            url = f"local://{scratch}/objects-{seed}" if options.url else None
            killed = KilledOnRay(scratch / f"ray-{seed}", seed, rng, nodes, url)
            killed.run(left)
            killed.check_ended()
            left -= sum(killed.kills.values())
            kills = ", ".join(f"{count} of the {who}" for who, count in killed.kills.items()) or "none in time"
            history, verdict = read(killed.folder), "; ".join(killed.problems) or "nothing lost, nothing twice"
            print(f"seed {seed}: kills: {kills}; {history.n_epochs} epochs: {verdict}", flush=True)
            problems += killed.problems
            seed += 1
    finally:
        nodes.close()
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"{options.kills} kills, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
