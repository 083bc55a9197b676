"""Runs the lines of a model's README as a user would: in a new process that knows nothing of hpo."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from trainables.inference import plain_lines

WITHOUT_LIBRARY = """import torch.library
library = torch.library.Library("torchvision", "DEF")
library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""
"""Lets torchvision be imported beside a torch that it was not built for, as `trainables.vision` does."""


def blocks(folder: Path) -> list[str]:
    """The blocks of Python in the README of a model folder."""
    return re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)


def run(folders: list[Path], paths: list[Path]) -> dict[str, list[list[float]]]:
    """Run the lines of each folder in one new process without hpo, and return the logits of the images."""
    lines = "import json, os\nfound = {}\n"
    for folder in folders:
        loading, using = (block.replace(f'"{plain_lines.EXAMPLE}"', "path") for block in blocks(folder)[:2])
        each = f"{loading}\nrows = []\nfor path in {[str(path) for path in paths]}:\n"
        each += "".join(f"    {line}\n" for line in using.splitlines()) + "    rows.append(logits[0].tolist())\n"
        lines += (
            f"os.chdir({str(folder)!r})\nscope = {{}}\nexec({each!r}, scope)\nfound[{folder.name!r}] = scope['rows']\n"
        )
    lines += "import sys\nassert not any(name.startswith(('hpo', 'trainables')) for name in sys.modules)\n"
    lines += f"os.chdir({str(folders[0].parent)!r})\njson.dump(found, open('logits.json', 'w'))\n"
    broken = vision_is_broken()
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-W", "error::SyntaxWarning", "-c", (WITHOUT_LIBRARY if broken else "") + lines]
    subprocess.run(command, check=True, env=environment, cwd=folders[0].parent, stdout=subprocess.DEVNULL)
    found: dict[str, list[list[float]]] = json.loads((folders[0].parent / "logits.json").read_text())
    return found


def vision_is_broken() -> bool:
    """Whether torchvision's C++ library does not load beside this torch."""
    from trainables import vision

    vision.torchvision()
    return bool(vision._libraries)
