from __future__ import annotations

import errno
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainables import toys
from trainables import memory
from trainables.training import gradient_descent


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the peak of a process can be reset only on Linux"
)
def test_the_peak_of_the_host_counts_what_was_freed_and_can_be_reset() -> None:
    memory.reset_peak("cpu")
    before = memory.peak("cpu")
    assert before.gpu is None
    assert before.host is not None
    tensor = torch.ones(64 * 2**20)  # 0.25 GiB
    del tensor
    peak = memory.peak("cpu").host
    assert peak is not None
    assert 0.2 < peak - before.host < 0.4
    memory.reset_peak("cpu")
    again = memory.peak("cpu").host
    assert again is not None
    assert again < peak - 0.2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not tell it")
def test_without_the_files_of_linux_the_peak_since_the_start_is_known(tmp_path: Path) -> None:
    known, peak = memory.host_peak(), memory.host_peak(tmp_path / "missing")
    assert peak is not None
    assert known is not None
    assert known - 0.01 <= peak < known + 64


@pytest.mark.cuda
def test_the_peak_of_a_gpu_counts_the_tensors_on_it() -> None:
    memory.reset_peak("cuda:0")
    before = memory.peak("cuda:0").gpu
    tensor = torch.ones(64 * 2**20, device="cuda:0")
    del tensor
    after = memory.peak("cuda:0").gpu
    assert before is not None
    assert after is not None
    assert 0.24 < after - before < 0.3


def test_a_real_shortage_is_told_from_other_errors_whatever_raised_it() -> None:
    for allocate in (lambda: torch.empty(2**50), lambda: np.empty(2**55), lambda: bytearray(2**62)):
        with pytest.raises((RuntimeError, MemoryError)) as caught:
            allocate()
        assert memory.shortage(caught.value) == "host"
        other = ValueError("the batch failed")
        other.__cause__ = caught.value
        assert memory.shortage(other) == "host"
    with pytest.raises(RuntimeError) as caught:
        torch.ones(2) @ torch.ones(3)
    assert memory.shortage(caught.value) is None


@pytest.mark.parametrize(
    ("error", "place"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "gpu"),
        (RuntimeError("CUDA error: out of memory"), "gpu"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "gpu"),
        (RuntimeError("Caught OutOfMemoryError in replica 1 on device 1.\nCUDA out of memory."), "gpu"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "host"),
        (RuntimeError("std::bad_alloc"), "host"),
        (OSError(errno.ENOSPC, "No space left on device"), None),
        (RuntimeError("CUDA error: device-side assert triggered"), None),
        (ValueError("CUDA out of memory"), None),
    ],
    ids=str,
)
def test_where_memory_ran_out_follows_from_the_error(error: Exception, place: str | None) -> None:
    assert memory.shortage(error) == place


@pytest.mark.parametrize(
    ("groups", "files", "n_kills"),
    [
        ("0::/app/job\n", {"sys/fs/cgroup/app/job/memory.events": "low 0\noom 3\noom_kill 2\n"}, 2),
        ("0::/app\n", {"sys/fs/cgroup/unified/app/memory.events": "oom_kill 4\n"}, 4),
        ("4:memory:/app\n0::/\n", {"sys/fs/cgroup/memory/app/memory.oom_control": "under_oom 0\noom_kill 5\n"}, 5),
        ("0::/app\n", {"sys/fs/cgroup/memory.stat": "anon 1\n", "proc/vmstat": "nr_free 1\noom_kill 7\n"}, 7),
        ("", {}, None),
    ],
    ids=["version 2", "hybrid", "version 1", "no group", "another system"],
)
def test_the_kills_of_the_kernel_are_those_of_the_innermost_control_group(
    groups: str, files: dict[str, str], n_kills: int | None, tmp_path: Path
) -> None:
    for name, content in {**files, "proc/self/cgroup": groups}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert memory.n_oom_kills(tmp_path) == n_kills


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the file")
def test_this_machine_tells_its_kills() -> None:
    assert memory.n_oom_kills() is not None


@pytest.mark.parametrize(
    ("groups", "files", "gib"),
    [
        ("", {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:    3145728 kB\n"}, 3.0),
        (
            "0::/app/job\n",
            {
                "proc/meminfo": "MemAvailable: 3145728 kB\n",
                "sys/fs/cgroup/app/memory.max": f"{3 * 2**30}\n",
                "sys/fs/cgroup/app/memory.current": f"{2 * 2**30}\n",
                "sys/fs/cgroup/app/memory.stat": f"anon 7\ninactive_file {2**29}\n",
                "sys/fs/cgroup/app/job/memory.max": "max\n",
                "sys/fs/cgroup/app/job/memory.current": "5\n",
            },
            1.5,
        ),
        (
            "4:memory:/app\n",
            {
                "sys/fs/cgroup/memory/app/memory.limit_in_bytes": f"{2**30}\n",
                "sys/fs/cgroup/memory/app/memory.usage_in_bytes": f"{2**31}\n",
            },
            0.0,
        ),
        ("", {}, None),
    ],
    ids=["whole machine", "version 2", "version 1", "another system"],
)
def test_the_main_memory_that_is_available_is_what_the_tightest_control_group_leaves(
    groups: str, files: dict[str, str], gib: float | None, tmp_path: Path
) -> None:
    for name, content in {**files, "proc/self/cgroup": groups}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert memory.available_host(tmp_path) == gib


def test_a_training_ends_after_so_many_steps_of_its_optimizer_and_later_ones_are_not_limited() -> None:
    training = gradient_descent.build({"batch_size": 8, "lr": 0.1}, toys.model(), toys.data(), "cpu")
    seen = list[int]()
    training.model.register_forward_pre_hook(lambda module, images: seen.append(1))
    training.model.head.register_forward_pre_hook(lambda module, images: seen.append(1) if module.training else None)
    with memory.limited_steps(2):
        training.step()
    assert len(seen) == 2
    training.step()
    assert len(seen) == 2 + 97 // 8


@pytest.mark.cuda
def test_a_gpu_that_is_full_is_a_shortage_of_the_gpu_and_its_need_is_what_was_reserved() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**44, device="cuda:0")
    assert memory.shortage(caught.value) == "gpu"
    memory.release("cuda:0")
    memory.reset_peak("cuda:0")
    free, need = memory.free_gpu("cuda:0"), memory.need_of_gpu("cuda:0")
    tensor = torch.ones(256 * 2**20, device="cuda:0")
    del tensor
    assert memory.need_of_gpu("cuda:0") - need == pytest.approx(1.0, abs=0.1)
    memory.release("cuda:0")
    assert memory.free_gpu("cuda:0") == pytest.approx(free, rel=0.1)
