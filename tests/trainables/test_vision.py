import importlib
import re
import subprocess
import sys
from pathlib import Path

import torch

from tests.trainables.declarations import ROOT
from trainables import vision

TRAINABLES = ROOT / "trainables"


def test_models_data_sets_and_transforms_can_be_had() -> None:
    assert vision.models().resnet18 is vision.torchvision().models.resnet18
    assert vision.datasets().CIFAR10.__name__ == "CIFAR10"
    flipped = vision.transforms().functional.horizontal_flip(torch.tensor([[[1, 2]]]))
    assert flipped.tolist() == [[[2, 1]]]


def test_whoever_imports_torchvision_afterwards_gets_the_same() -> None:
    assert vision.torchvision() is importlib.import_module("torchvision")


def test_no_other_module_imports_torchvision() -> None:
    for path in TRAINABLES.rglob("*.py"):
        found = re.search(
            r"^\s*(import|from) torchvision|import_module\(f?.torchvision", path.read_text(), re.MULTILINE
        )
        assert bool(found) == (path == TRAINABLES / "vision.py"), path


def test_nothing_is_imported_before_it_is_asked_for_nor_declared_where_the_package_loads(tmp_path: Path) -> None:
    """A stand-in for torchvision fails in a way of its own first, and then loads."""
    stand_in = tmp_path / "torchvision.py"
    program = f"""
import importlib, pathlib, sys
import torch
from trainables import vision
for path in sorted(pathlib.Path("trainables/models").glob("*.py")):
    importlib.import_module(f"trainables.models.{{path.stem}}")
assert "torchvision" not in sys.modules and "timm" not in sys.modules
stand_in = pathlib.Path({str(stand_in)!r})
sys.path.insert(0, str(stand_in.parent))
sys.dont_write_bytecode = True
stand_in.write_text("raise RuntimeError('another fault')")
try:
    vision.torchvision()
except RuntimeError as error:
    assert str(error) == "another fault"
else:
    raise AssertionError("the fault is hidden")
stand_in.write_text("")
assert vision.torchvision().__file__ == str(stand_in)
assert not hasattr(torch.ops.torchvision, "nms")
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
