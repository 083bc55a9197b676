from __future__ import annotations

import math
import stat
from pathlib import Path

import pytest

from hpo.devices import listed_gpus, main_device, n_cores, plan_slots, slots_for, visible_gpus
from hpo.errors import UserError


def _driver(folder: Path, monkeypatch: pytest.MonkeyPatch, n_gpus: int) -> None:
    """Put a tool on PATH that lists GPUs, as that of NVIDIA's driver does."""
    tool = folder / "nvidia-smi"
    lines = "".join(f"{number}, GPU-{number}{number}ab-cd\\n" for number in range(n_gpus))
    tool.write_text(f"#!/bin/sh\nprintf '{lines}'\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _driver(tmp_path, monkeypatch, 6)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def test_without_a_gpu_there_is_a_slot_a_core_with_one_thread(no_gpu: None) -> None:
    slots = plan_slots("auto", None)
    assert len(slots) == n_cores()
    assert {(slot.device, slot.threads, slot.environment["OMP_NUM_THREADS"]) for slot in slots} == {("cpu", 1, "1")}


def test_fewer_slots_share_out_all_cores(no_gpu: None) -> None:
    (slot,) = plan_slots("auto", 1)
    assert slot.threads == n_cores()


@pytest.mark.parametrize("n_trainings", [1, 2, 3, 7, 100])
def test_few_trainings_get_all_cores_of_the_cpu(no_gpu: None, n_trainings: int) -> None:
    slots = slots_for("auto", n_trainings)
    assert slots is not None
    assert slots <= min(n_cores(), n_trainings)
    assert math.ceil(n_trainings / slots) == math.ceil(n_trainings / n_cores())
    assert len(plan_slots("auto", slots)) == slots


def test_few_trainings_on_gpus_have_the_default_number_of_slots(two_gpus: None) -> None:
    assert slots_for("auto", 1) is None


def test_each_gpu_is_a_slot_that_sees_no_other(two_gpus: None) -> None:
    slots = plan_slots("auto", None)
    assert [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in slots] == ["2", "5"]
    assert [slot.device for slot in slots] == ["cuda", "cuda"]
    assert [slot.name for slot in slots] == ["cuda:2", "cuda:5"]


def test_a_gpu_can_have_several_slots(two_gpus: None) -> None:
    assert [slot.name for slot in plan_slots("auto", 2)] == ["cuda:2", "cuda:2", "cuda:5", "cuda:5"]


def test_a_trial_on_two_gpus_sees_both_and_no_other(two_gpus: None) -> None:
    (slot,) = plan_slots("auto", None, 2)
    assert (slot.device, slot.name, slot.n_devices) == ("cuda", "cuda:2,5", 2)
    assert slot.environment["CUDA_VISIBLE_DEVICES"] == "2,5"
    assert slot.threads == max(1, n_cores() // 2)
    assert len(plan_slots("auto", 3, 2)) == 3
    with pytest.raises(UserError, match=r"^devices_per_trial 3: `devices auto` gives 2 GPUs \(allowed: 1 to 2\)$"):
        plan_slots("auto", None, 3)


def test_gpus_that_make_no_whole_group_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _driver(tmp_path, monkeypatch, 5)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert [slot.name for slot in plan_slots("auto", None, 2)] == ["cuda:0,1", "cuda:2,3"]


def test_on_the_cpu_the_processes_of_a_trial_share_out_the_cores(no_gpu: None) -> None:
    slots = plan_slots("cpu", None, 2)
    assert len(slots) == max(1, n_cores() // 2)
    assert {(slot.n_devices, slot.threads) for slot in slots} == {(2, 1)}
    (slot,) = plan_slots("cpu", 1, 2)
    assert slot.threads == max(1, n_cores() // 2)
    most = max(2, n_cores())
    with pytest.raises(UserError, match=rf"^devices_per_trial {most + 1}: .* cores \(allowed: 1 to {most}\)$"):
        plan_slots("cpu", None, most + 1)


def test_devices_are_counted_among_those_that_are_visible(two_gpus: None) -> None:
    assert [slot.name for slot in plan_slots("cuda:1", None)] == ["cuda:5"]
    assert main_device("cuda:1") == "cuda:1"
    with pytest.raises(UserError, match=r"this machine has 2 CUDA devices, so no 'cuda:2'"):
        plan_slots("cuda:0,cuda:2", None)


def test_the_cpu_can_be_asked_for_beside_a_gpu(two_gpus: None) -> None:
    assert {slot.device for slot in plan_slots("cpu", None)} == {"cpu"}
    assert main_device("cpu") == "cpu"


def test_a_slot_on_the_cpu_sees_no_gpu(two_gpus: None) -> None:
    assert plan_slots("cpu", 1)[0].environment["CUDA_VISIBLE_DEVICES"] == ""


def test_unknown_devices_and_no_slots_are_refused(no_gpu: None) -> None:
    with pytest.raises(UserError, match="'gpu0' is no device"):
        plan_slots("gpu0", None)
    with pytest.raises(UserError, match="at least 1"):
        plan_slots("cpu", 0)


def test_gpus_are_found_by_the_drivers_own_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\nprintf '0\\n1\\n2\\n'\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert visible_gpus() == ["0", "1", "2"]


def _tool(folder: Path, script: str) -> str:
    """A program in the place of `nvidia-smi`, and its path."""
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    return str(tool)


def test_a_driver_that_fails_leaves_the_gpus_unknown_and_without_a_driver_there_are_none(tmp_path: Path) -> None:
    tool = _tool(tmp_path, "echo 'no driver' >&2; exit 9")
    driver = tmp_path / "nvidiactl"
    assert listed_gpus(tool, (str(tmp_path / "none"),)) == {}
    assert listed_gpus(None, (str(tmp_path / "none"),)) == {}
    driver.touch()
    assert listed_gpus(tool, (str(driver),)) is None
    assert listed_gpus(None, (str(driver),)) is None


def test_the_drivers_tool_is_asked_once_in_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _tool(tmp_path, f"echo asked >>{tmp_path}/log; echo '0, GPU-1'")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert [main_device("auto"), *(slot.name for slot in plan_slots("auto", 1))] == ["cuda:0", "cuda:0"]
    assert (tmp_path / "log").read_text() == "asked\n"


@pytest.mark.parametrize("limited", ["NoDevFiles", "none", "-1", "", "0", "7", "GPU-00ab", "MIG-1", "void"])
def test_on_a_machine_without_a_gpu_no_value_of_cuda_visible_devices_gives_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limited: str
) -> None:
    _driver(tmp_path, monkeypatch, 0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", limited)
    assert {slot.device for slot in plan_slots("auto", None)} == {"cpu"}
    assert main_device("auto") == "cpu"
    with pytest.raises(UserError, match="this machine has 0 CUDA devices, so no 'cuda:0'"):
        plan_slots("cuda:0", None)


@pytest.mark.parametrize(
    ("limited", "visible"),
    [
        ("1,0", ["1", "0"]),
        ("1,-1,0", ["1"]),
        ("0,9,1", ["0"]),
        ("none", []),
        ("GPU-11ab", ["GPU-11ab"]),
        ("GPU-77", []),
        ("MIG-1", ["MIG-1"]),
    ],
)
def test_names_count_up_to_the_first_that_is_no_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limited: str, visible: list[str]
) -> None:
    _driver(tmp_path, monkeypatch, 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", limited)
    assert visible_gpus() == visible
