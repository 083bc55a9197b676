"""The model that a study ends with: writing it as a model folder, and loading such a folder.

The command line and the Python API import this package. It uses `hpo.heldout` and the packages below it.
"""

from __future__ import annotations

from hpo.final_model.loaded import Model, load_model
from hpo.final_model.options import TRAIN_ON, ModelOptions
from hpo.final_model.writing import WrittenModel, write_model

__all__ = ["TRAIN_ON", "Model", "ModelOptions", "WrittenModel", "load_model", "write_model"]
