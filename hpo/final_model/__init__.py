"""The model that a study ends with: writing it as a model folder, and loading such a folder.

The command line and the Python API import this package. It uses `hpo.heldout` and the packages below it.
"""

from __future__ import annotations

from hpo.final_model.loaded import Model, load_model

__all__ = ["Model", "load_model"]
