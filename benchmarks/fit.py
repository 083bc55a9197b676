"""`hpo fit` on a real data set, next to a script with a good recipe that is written by hand, for so many minutes each.

    python benchmarks/fit.py [--dataset pacs caltech101] [--minutes 20] [--models resnet18 resnet50] [--data DIR]
                             [--script-model resnet50] [--sides fit script]

Both sides get the same images to train with, the same held-out images, the same ImageNet weights and the same number of
minutes. The minutes are of two clocks, and both favour the script:

- `fit` is `hpo fit TABLE --time 20m`, on a table of the files of a data set. Its clock is wall time, so other work on
  the machine costs it time, and all that it does counts, from decoding to the report. Its held-out accuracy is the one
  that it prints.
- `script` is `benchmarks/hand_made.py`: one network, a probe, then all layers at one rate that falls as a cosine, with
  crops and flips, in bfloat16. It trains on all images that are not held out, because it chooses nothing. Its images
  lie decoded in memory before its time begins, so decoding is free. Its clock is its processor time divided by the
  threads of torch. Other work on the machine costs it less than wall time would, but each step may take more of it.

For both sides, `seconds` is the wall time of the whole process, and `processor s` its processor time with that of the
processes that it started. Both columns include the decoding of the script.

The target is that `fit` is ahead of the others, or level: not below the 95 % interval of the other.

`earlier` is the best test accuracy of the studies in the folder `studies` on this data set. The intervals are 95 %
intervals (Wilson) on the held-out images.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks import hand_made, photos
from benchmarks.report import apart, block, machine, note, verdict
from hpo.quantities import duration, with_plural
from hpo.statistics import Interval, mean_interval
from trainables.data.dataset import DataSet, Files
from trainables.datasets import caltech101, pacs
from trainables.errors import SetupError

ROOT = Path(__file__).parent.parent
BUILDERS: dict[str, Callable[[Path], DataSet]] = {
    "pacs": lambda root: pacs.build(root, domain="cartoon"),
    "caltech101": lambda root: caltech101.build(root),
}
EARLIER = {"pacs": "pacs_cartoon_resnet18_full", "caltech101": "caltech101_resnet18_frozen"}
"""The study of the folder `studies` with the best test accuracy on each data set."""
TITLES = {"pacs": "PACS cartoon", "caltech101": "Caltech-101"}
HEADER = ("data set", "side", "held-out accuracy", "95 % interval", "seconds", "processor s", "how")


def earlier(name: str) -> float:
    """The best test accuracy of the earlier study of a data set."""
    test = json.loads((ROOT / "studies" / EARLIER[name] / "test.json").read_text(encoding="utf-8"))
    return max(float(entry["test_accuracy"]["mean"]) for entry in test["results"])


def clocked(side: Callable[[], tuple[float, str]]) -> tuple[float, str, float, float]:
    """Run a side in processes of its own. Return what it returns, its wall seconds and its processor seconds."""
    wall, processor = time.monotonic(), _of_children()
    accuracy, how = side()
    return accuracy, how, time.monotonic() - wall, _of_children() - processor


def _of_children() -> float:
    """The processor seconds of all processes that this one started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def table(dataset: DataSet, path: Path) -> None:
    """Write the files of a data set as a table with the parts that it gives them."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "split"))
        for split, files in (("train", _files(dataset.training())), ("test", _files(dataset.held_out()))):
            for image, label in zip(files.paths, files.labels.tolist(), strict=True):
                writer.writerow((image, dataset.classes[label], split))


def _files(files: object) -> Files:
    if not isinstance(files, Files):
        raise SetupError("the data set has no image files in both parts")
    return files


def by_fit(source: Path, data: Path, seconds: float, models: list[str], out: Path) -> tuple[float, str]:
    """Run `hpo fit`. Return the held-out accuracy, and what won."""
    command = [sys.executable, "-m", "hpo.cli", "fit", str(source), "--time", f"{seconds:.0f}s", "--out", str(out)]
    command += ["--models", ",".join(models), "--data", str(data)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    result = json.loads((out / "fit.json").read_text(encoding="utf-8"))["steps"]["result"]
    test = json.loads((out / "studies" / result["study"] / "test.json").read_text(encoding="utf-8"))
    tested = next(entry for entry in reversed(test["results"]) if entry["trial"] == result["trial"])
    config = ", ".join(f"{name} {value}" for name, value in tested["config"].items())
    return tested["test_accuracy"]["mean"], f"{result['study']}: {config}"


def by_script(dataset: DataSet, data: Path, seconds: float, model: str) -> tuple[float, str]:
    """Run the script. Return the held-out accuracy, and how long it trained on its own clock."""
    training, held_out = (_files(files) for files in (dataset.training(), dataset.held_out()))
    note("decoding for the script")
    known, unknown = (hand_made.decoded(files.paths, files.labels) for files in (training, held_out))
    weights = data / "weights" / f"{model}.pth"
    correct, taken, epochs = hand_made.held_out_correct(weights, model, known, unknown, seconds)
    return sum(correct) / len(
        correct
    ), f"{model}, all layers, {with_plural(epochs, 'epoch')}, {taken:.0f} s of its clock"


def measure(name: str, typed: argparse.Namespace, data: Path, out: Path) -> tuple[list[list[object]], list[str]]:
    """The rows and the verdicts of a data set."""
    dataset = BUILDERS[name](data)
    n = len(_files(dataset.held_out()))
    source = out / f"{name}.csv"
    table(dataset, source)
    sides: dict[str, Callable[[], tuple[float, str]]] = {
        "fit": lambda: by_fit(source, data, 60 * typed.minutes, typed.models, out / f"{name}-fit"),
        "script": lambda: apart(by_script, dataset, data, 60 * typed.minutes, typed.script_model),
    }
    reached = {"earlier": earlier(name)}
    before = f"{reached['earlier']:.4f}", _interval(reached["earlier"], n)
    rows: list[list[object]] = [[TITLES[name], "earlier", *before, "", "", EARLIER[name]]]
    for side in typed.sides:
        note(f"{TITLES[name]}: {side}")
        accuracy, how, wall, processor = clocked(sides[side])
        reached[side] = accuracy
        rows.append([TITLES[name], side, f"{accuracy:.4f}", _interval(accuracy, n), wall, processor, how])
    lines = []
    if "fit" in reached:
        for other in reached.keys() - {"fit"}:
            what = f"{TITLES[name]}: fit {reached['fit']:.4f}, {other} {reached[other]:.4f}"
            least = _limits(reached[other], n).low
            lines.append(verdict(f"{what}: ahead, or level within the interval", reached["fit"], least, "", least=True))
    return rows, sorted(lines)


def _interval(accuracy: float, n: int) -> str:
    found = _limits(accuracy, n)
    return f"{found.low:.4f} to {found.high:.4f}"


def _limits(accuracy: float, n: int) -> Interval:
    """The 95 % interval of an accuracy on `n` images."""
    correct = np.arange(n) < round(accuracy * n)
    return mean_interval(correct.astype(np.float64), is_share=True)


def main() -> None:
    """Measure, and print a section of RESULTS.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--dataset", nargs="+", choices=list(BUILDERS), default=list(BUILDERS))
    parser.add_argument("--minutes", type=float, default=20.0, help="the time of each side")
    parser.add_argument("--models", nargs="+", default=["resnet18", "resnet50"], help="those that fit ranks")
    parser.add_argument("--script-model", choices=["resnet18", "resnet50"], default="resnet50")
    parser.add_argument("--sides", nargs="+", choices=["fit", "script"], default=["fit", "script"])
    parser.add_argument("--data", help="the folder of the data sets and weights")
    typed = parser.parse_args()
    data, begun = photos.data_root(typed.data), machine()
    rows: list[list[object]] = []
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in typed.dataset:
            found, verdicts = measure(name, typed, data, Path(folder))
            rows += found
            lines += verdicts
    print(
        block(
            f"{duration(60 * typed.minutes)} on {', '.join(TITLES[name] for name in typed.dataset)}",
            begun,
            HEADER,
            rows,
            lines,
        )
    )


if __name__ == "__main__":
    main()
