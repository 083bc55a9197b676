"""The flags of the command line for the options of the runner `ray`."""

from __future__ import annotations

FLAGS = {
    "sync": "--ray-sync",
    "address": "--ray-address",
    "resources": "--resources",
    "checkpoint_url": "--checkpoints",
}
"""The flag of each option of the runner `ray`. The keys are the keywords of its `build`."""
