from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from trainables import memory


@pytest.mark.skipif(not memory.CLEAR_REFS.exists(), reason="the peak of a process can be reset only on Linux")
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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_peak_of_a_gpu_counts_the_tensors_on_it() -> None:
    memory.reset_peak("cuda:0")
    before = memory.peak("cuda:0").gpu
    tensor = torch.ones(64 * 2**20, device="cuda:0")
    del tensor
    after = memory.peak("cuda:0").gpu
    assert before is not None
    assert after is not None
    assert 0.24 < after - before < 0.3
