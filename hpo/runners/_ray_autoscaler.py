"""Whether a Ray cluster starts nodes on demand. Ray has no public call that says so."""

from __future__ import annotations

import json
import re

STATUS = "__autoscaling_status"
"""Where Ray's autoscaler writes its state. Without an autoscaler, Ray writes the state of the nodes there."""
WITHOUT_AUTOSCALER = re.compile(r"node_[0-9a-f]{40,}")
"""The type of a node without an autoscaler. With one, it is a name of the autoscaler's configuration."""


def starts_nodes() -> bool:
    """Whether the cluster starts nodes on demand. It is called in a task of the cluster. False if that is not known."""
    from ray.experimental.internal_kv import _internal_kv_get

    try:
        text = _internal_kv_get(STATUS)
        types = node_types(text) if text else _node_types_of_version_2()
    except Exception:  # these are no public interfaces
        return False
    return any(name and not WITHOUT_AUTOSCALER.fullmatch(name) for name in types)


def node_types(status: bytes) -> list[str]:
    """Return the types of the nodes in the state that the autoscaler of version 1 writes."""
    report = json.loads(status).get("autoscaler_report") or {}
    return [str(name) for name in report.get("active_nodes", {})]


def _node_types_of_version_2() -> list[str]:
    import ray
    from ray.autoscaler.v2.sdk import get_cluster_status

    status = get_cluster_status(ray.get_runtime_context().gcs_address)
    return [str(node.ray_node_type_name) for node in (*status.active_nodes, *status.idle_nodes)]
