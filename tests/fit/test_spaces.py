from __future__ import annotations

from pathlib import Path

import pytest

from hpo.fit import FitRequest, spaces
from hpo.fit.time_plan import FineTuning


@pytest.mark.parametrize(("n_stages", "crops"), [(None, True), (2, False)])
def test_images_are_cropped_only_if_no_stage_is_frozen(tmp_path: Path, n_stages: int | None, crops: bool) -> None:
    request = FitRequest(str(tmp_path), 600.0)
    space = spaces.fine_tune_space(request, "resnet18", FineTuning(224, n_stages, 10, 2), "fp32")
    assert ("crop_scale" in space.fixed) is crops
    assert (space.fixed["augmentation"] == "none") is not crops
