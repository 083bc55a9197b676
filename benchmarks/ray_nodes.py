"""A Ray cluster of several nodes on this machine: a real one, in which each node has its own raylet."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from hpo.runners import _ray_cluster

FAST_CHECKS = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 3,
}
"""With these, Ray notices after about 2 seconds that a node has died. By default it takes 15."""


class Nodes:
    """A cluster with a head node that offers no CPU, and nodes that come and go."""

    def __init__(self, cpus: int = 1, nodes: int = 2) -> None:
        """Each of so many nodes offers so many CPUs."""
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "include_dashboard": False, "_system_config": FAST_CHECKS}
        self._cpus = cpus
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.nodes = [self.add() for _ in range(nodes)]

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def add(self, **options: Any) -> Any:
        """Add a node to the cluster, and return it."""
        kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("HPO_")}
        try:
            return self._cluster.add_node(**{"num_cpus": self._cpus, **options})
        finally:
            os.environ.update(kept)  # another machine would not have them

    def add_without(self, folder: Path) -> subprocess.Popen[bytes]:
        """Start a node that sees an empty folder in place of this one, as another machine would.

        It has a custom resource `apart`, so that slots can be placed there. Needs root on Linux.
        """
        ray = Path(sys.executable).with_name("ray")
        start = f"{ray} start --address={self.address} --num-cpus=1 --resources='{{\"apart\": 4}}' --block"
        command = ["unshare", "--mount", "sh", "-c", f"mount -t tmpfs none {folder} && exec {start}"]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    def kill(self, node: Any) -> None:
        """Kill the raylet of a node, as a failure of the machine would, and what was started by it."""
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        started = raylet.children(recursive=True)
        raylet.kill()
        for process in started:
            if process.is_running():
                process.kill()

    def stop_head(self) -> None:
        """Kill the raylet of the head node, to which a process that searches is connected."""
        psutil.Process(self._cluster.head_node.all_processes["raylet"][0].process.pid).kill()

    def close(self) -> None:
        self._cluster.shutdown()


@contextmanager
def connected(nodes: Nodes) -> Iterator[Nodes]:
    """In this context, this process stays connected to a cluster. Without it, each runner would connect anew."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _ray_cluster.connect(nodes.address)
        try:
            yield nodes
        finally:
            _ray_cluster.disconnect()
