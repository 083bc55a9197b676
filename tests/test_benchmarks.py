"""Each benchmark runs in a tiny size, and prints all that it should. What is printed then is no measurement.

They run in the process of the tests, because importing torch takes longer than most of them. `benchmarks/gpu.py` runs
as a script.
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from benchmarks.postgresql_server import programs

ROOT = Path(__file__).parents[1]

Run = Callable[..., list[str]]
"""Runs a benchmark with arguments, and returns the lines that it prints."""

pytestmark = pytest.mark.slow


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    monkeypatch.setenv("HPO_CACHE", os.environ["HPO_CACHE"])  # some benchmarks change it
    n_threads = torch.get_num_threads()

    def run(script: str, *arguments: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", [f"benchmarks/{script}.py", "--quick", *arguments])
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            importlib.import_module(f"benchmarks.{script}").main()
        return capsys.readouterr().out.splitlines()

    yield run
    torch.set_num_threads(n_threads)


def tables(lines: list[str]) -> dict[str, list[dict[str, str]]]:
    """The rows of the Markdown tables below each heading, each by the names of the columns."""
    found: dict[str, list[dict[str, str]]] = {}
    header: list[str] = []
    for line in lines:
        if line.startswith("### "):
            heading, header = line[4:], []
            found[heading] = []
        elif line.startswith("| "):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if header:
                found[heading].append(dict(zip(header, cells, strict=True)))
            header = header or cells
    return found


def verdicts(lines: list[str]) -> list[str]:
    """The lines that say whether a target was reached."""
    return [line for line in lines if line.startswith(("- reached", "- MISSED"))]


@pytest.fixture
def _photos() -> None:
    folder = Path(os.environ.get("HPO_DATA", "no folder"))
    if not (folder / "caltech101").is_dir() or not (folder / "weights" / "resnet18.pth").is_file():
        pytest.skip("HPO_DATA names no folder with caltech101 and weights/resnet18.pth")


@pytest.mark.long
def test_the_comparison_of_overheads_runs_and_prints_every_row(printed: Run) -> None:
    """A handful of trials: what is printed is no measurement, but all of it is there."""
    lines = printed("overhead", "--trials", "6", "--growth-trials", "40", "--without", "ray", "--backends", "random")
    rows = [line.split("  ")[0] for line in lines]
    has_server = programs() is not None
    for sampler in ("tpe", "random"):
        assert rows.count(f"Optuna alone, {sampler}") == 3 + has_server
    assert rows.count("ours, random, backend alone") == 1
    assert rows.count("ours, random") == 3 + has_server
    assert sum("Optuna alone" in line and "times the CPU time" in line for line in lines) == 2 + has_server
    words = "round trips to PostgreSQL, a trial of nine epochs: ours 11."  # now and then, one more prepares one
    assert lines[-1].startswith(words if has_server else "PostgreSQL was left out")
    assert "HpBandSter's arithmetic" in rows
    kinds = [line.split()[1] for line in lines if line.startswith(("reached", "MISSED"))]
    assert kinds == ["inline:", "processes:", "growth:", "resume:"]


@pytest.mark.long
@pytest.mark.usefixtures("_photos")
def test_the_search_of_a_probe_trains_as_many_epochs_on_every_side(printed: Run) -> None:
    """Ray Tune is left out, whose start takes longer than all the rest, and our second run."""
    lines = printed("probe_search", "--without", "ray", "warm")
    ((title, rows),) = tables(lines).items()
    assert title == "Linear probe, 48 images of 12 classes, 32 pixels, 2 configurations of 2 epochs"
    assert [row["side"] for row in rows] == ["ours, cold", "Optuna", "HpBandSter"]
    assert [row["epochs"] for row in rows] == ["4", "4", "4"]
    assert [row["extrapolated: epochs"] for row in rows] == ["", "1,920", "257"]
    assert len(verdicts(lines)) == 2


def test_without_the_images_a_benchmark_says_what_it_needs(printed: Run, tmp_path: Path) -> None:
    (line,) = printed("probe_search", "--data", str(tmp_path))
    assert line.startswith("not measured: caltech101 and weights/resnet18.pth are needed")


@pytest.mark.usefixtures("_photos")
def test_the_epoch_of_fine_tuning_is_timed_on_every_side(printed: Run) -> None:
    lines = printed("fine_tune_epoch", "--precision", "bf16")
    ((title, rows),) = tables(lines).items()
    assert title.startswith("One epoch of all of resnet18: 32 images of 64 pixels, batches of 8, bf16")
    assert [row["side"] for row in rows] == ["ours", "bare loop", "usual script"]
    assert rows[1]["ratio to bare"] == "1"
    assert len(verdicts(lines)) == 2


def test_augmentations_are_timed_beside_torchvision_and_in_an_epoch(printed: Run) -> None:
    lines = printed("augmentation", "--model", "small_cnn")
    speeds, epochs = tables(lines).values()
    assert [row["augmentation"] for row in speeds][1:4] == ["RandAugment", "TrivialAugment", "AugMix"]
    assert all(row["torchvision"] and row["ours"] for row in speeds)
    assert [row["augmentation"] for row in epochs] == ["none", "rand_augment"]
    assert len(verdicts(lines)) == 1


def test_promotion_from_checkpoints_trains_fewer_epochs_than_from_scratch(printed: Run) -> None:
    """By hand, of 1..4 epochs and eta 2: brackets of 4, 2, 1 trials at 1, 2, 4; of 2, 1 at 2, 4; of 3 at 4."""
    ((_, rows),) = tables(printed("promotion", "--rungs", "4/2")).items()
    assert [row["epochs from scratch"] for row in rows] == [str(4 * 1 + 2 * 2 + 1 * 4 + 2 * 2 + 1 * 4 + 3 * 4)]
    assert [row["epochs here"] for row in rows] == [str(4 * 1 + 2 * 1 + 1 * 2 + 2 * 2 + 1 * 2 + 3 * 4)]


@pytest.mark.long
def test_growth_is_measured_over_trials_images_and_slots(printed: Run) -> None:
    lines = printed("growth")
    found = tables(lines)
    assert list(found) == ["Growth with trials", "Growth with images", "Growth with slots"]
    assert [row["trials"] for row in found["Growth with trials"]] == ["40"]
    assert [row["regime"] for row in found["Growth with images"]] == ["linear_probe", "softmax_regression"]
    (slots,) = found["Growth with slots"]
    assert float(slots["ratio to ideal"]) >= 1
    assert float(slots["a worker MB"].replace(",", "")) > 0
    assert len(verdicts(lines)) == 1


def test_the_comparison_of_heads_side_by_side_runs_and_finds_no_difference(printed: Run) -> None:
    ((title, rows),) = tables(printed("fused_heads", "--epochs", "1")).items()
    assert title.startswith("Heads side by side, cpu")
    assert [row["heads"] for row in rows] == ["1", "8"]
    assert all(float(row["difference"]) < 1e-5 for row in rows)


def test_what_fused_heads_do_about_imbalance_is_timed_beside_heads_that_do_nothing(printed: Run) -> None:
    ((_, rows),) = tables(printed("fused_heads", "--epochs", "1", "--imbalance")).items()
    assert rows[0]["heads with"] == "nothing"
    assert float(rows[0]["ratio"]) == 1
    assert {"class weights", "balanced sampling", "focal loss"} < {row["heads with"] for row in rows}


def test_the_metrics_are_timed_alone_and_fused(printed: Run) -> None:
    ((_, rows),) = tables(lines := printed("metrics")).items()
    assert [row["heads"] for row in rows] == ["1 alone", "64 fused"]
    assert len(verdicts(lines)) == 2


def test_searches_with_and_without_the_means_against_a_rare_class_are_compared(printed: Run) -> None:
    lines = printed("rare_class", "--trials", "2", "--epochs", "2", "--seeds", "2")
    ((_, rows),) = tables(lines).items()
    assert [row["search by"] for row in rows] == ["val_loss", "val_balanced_error"]
    assert all(0 <= float(row[name]) <= 1 for row in rows for name in ("seed 0", "seed 1", "mean"))
    assert len(verdicts(lines)) == 1


@pytest.mark.long
def test_the_start_is_timed_beside_its_imports(printed: Run) -> None:
    lines = printed("start")
    ((_, rows),) = tables(lines).items()
    assert [row["what"] for row in rows] == ["hpo search, until its first epoch is trained", "import torch, alone"]
    assert len(verdicts(lines)) == 1


@pytest.mark.long
def test_slots_of_many_threads_are_timed_beside_many_slots(printed: Run, tmp_path: Path) -> None:
    ((_, rows),) = tables(lines := printed("slots", "--data", str(tmp_path))).items()
    assert rows[0]["slots"] == "1"
    # It is NaN if one slot was at its end before the other had begun: so few epochs take less time than a start.
    assert all(not float(row["epochs/s"]) <= 0 for row in rows)
    assert len(verdicts(lines)) == 1


@pytest.mark.long
def test_replays_are_timed_beside_their_searches(printed: Run) -> None:
    backends = ["optuna, tpe", "bohb", "grid"]
    found = tables(lines := printed("replay", "--backends", *backends))
    assert [row["backend"] for row in found["Replay and search"]] == backends
    assert [row["trials"] for row in found["Long replays"]] == ["90"] * 3
    assert len(verdicts(lines)) == 2


def test_the_asks_late_in_long_searches_are_timed(printed: Run) -> None:
    ((_, rows),) = tables(lines := printed("ask_times")).items()
    assert [row["asks"] for row in rows] == ["10", "10"]
    assert rows[0]["reports"] == "200"
    assert rows[1]["trials"] == "20"
    assert all(0 < float(row["median ms"]) <= float(row["95 % ms"]) <= float(row["max ms"]) for row in rows)
    assert len(verdicts(lines)) == 4


def test_searches_with_priors_are_compared_with_one_without(printed: Run) -> None:
    ((_, rows),) = tables(printed("priors")).items()
    assert [row["search"] for row in rows] == ["no prior", "good prior", "bad prior"]
    assert all(float(row["@5"].split(" ± ")[0]) >= 0 for row in rows)


def test_the_growth_of_many_simulated_trials_is_measured_in_ten_parts(printed: Run) -> None:
    ((title, rows),) = tables(lines := printed("scale")).items()
    assert title == "Many trials on 10 slots"
    assert [row["trials"] for row in rows] == [str(10 * n) for n in range(1, 11)] * 2
    assert all(float(row["ask ms"]) > 0 for row in rows)
    assert len(verdicts(lines)) == 6


def test_each_section_on_a_gpu_runs_on_a_cpu_too(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "benchmarks/gpu.py",
        "--small",
        "--device",
        "cpu",
        "--results",
        str(tmp_path / "results.md"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert (tmp_path / "results.md").read_text().endswith("\n".join(lines) + "\n")
    rows = [line.split("|") for line in lines if line.startswith("| ")][1:6]
    results = {cells[1].strip(): cells[4].strip() for cells in rows}
    assert list(results) == ["tests", "fused_heads", "fine_tuning_speed", "shared_gpu", "synchronization"]
    assert results["tests"].startswith(("1 passed", "1 skipped"))
    first = next(i for i, line in enumerate(lines) if line.startswith("### "))
    _, networks, shared, costs = tables(lines[first:]).values()
    sides = [(row["precision"], row["side"]) for row in networks]
    assert sides.count(("bf16", "usual script")) == 2
    assert sides.count(("bf16, compiled", "ours")) == 2
    assert [row["at once"] for row in shared] == ["1", "2", "1", "2"]
    assert len(costs) == 8
    assert all(float(row["ms an epoch"]) > 0 for row in costs)


def test_the_cost_of_schedules_is_a_ratio_to_a_schedule_that_is_stepped_once_an_epoch(printed: Run) -> None:
    lines = printed("schedules", "--threads", "1", "--heads", "1", "3")
    ((title, rows),) = tables(lines).items()
    assert title == "Schedules step by step, cpu, 1 threads"
    schedules = ["LambdaLR", "constant", "cosine", "one_cycle", "wsd"]
    assert [(row["heads"], row["schedule"]) for row in rows] == [
        (heads, schedule) for heads in ("1 alone", "3 fused") for schedule in schedules
    ]
    assert [float(row["ratio"]) for row in rows if row["schedule"] == "LambdaLR"] == [1, 1]
    assert all(float(row["epoch, ms a head"]) > 0 for row in rows)
    assert len(verdicts(lines)) == 8


def test_the_cost_of_kept_predictions_is_a_share_of_an_epoch_with_its_checkpoint(printed: Run) -> None:
    ((title, rows),) = tables(printed("kept_predictions", "--threads", "1", "--heads", "1", "3")).items()
    assert title == "Validation predictions of an epoch, cpu, 1 threads"
    assert [row["heads"] for row in rows] == ["1 alone", "3 fused"]
    for row in rows:
        epoch, checkpoint, predictions = (
            float(row[f"{name}, ms a head"]) for name in ("epoch", "checkpoint", "predictions")
        )
        assert float(row["share, %"]) == pytest.approx(100 * predictions / (epoch + checkpoint), rel=0.02)
        assert 0.3 < float(row["predictions, kB a head"]) < 2  # 40 images of 4 classes
