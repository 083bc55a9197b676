from __future__ import annotations

from pathlib import Path

import pytest

from hpo.errors import UserError
from hpo.fit import FitFolder, FitRequest
from hpo.fit.folder import FIT_FILE


@pytest.fixture
def request_(tmp_path: Path) -> FitRequest:
    images = tmp_path / "images"
    images.mkdir()
    return FitRequest(str(images), 600.0, models=("resnet18",))


def test_finished_steps_are_there_when_the_folder_is_opened_again(tmp_path: Path, request_: FitRequest) -> None:
    FitFolder(tmp_path / "out", request_).end_step("ranking", 12.34, models=["resnet18"])
    again = FitFolder(tmp_path / "out", request_)
    assert again.step("ranking") == {"seconds": 12.3, "models": ["resnet18"]}
    assert again.step("result") is None
    assert again.seconds_spent == 12.3


def test_another_request_is_an_error_that_names_what_differs(tmp_path: Path, request_: FitRequest) -> None:
    FitFolder(tmp_path / "out", request_)
    with pytest.raises(UserError, match=r"holds a fit with seconds 600\.0, not 900\.0: repeat its options, or give"):
        FitFolder(tmp_path / "out", FitRequest(request_.images, 900.0, models=("resnet18",)))


def test_a_folder_with_other_files_is_left_as_it_is(tmp_path: Path, request_: FitRequest) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="was not written by `hpo fit`: give another --out"):
        FitFolder(tmp_path / "out", request_)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_a_damaged_file_is_an_error_and_stays(tmp_path: Path, request_: FitRequest) -> None:
    FitFolder(tmp_path / "out", request_)
    (tmp_path / "out" / FIT_FILE).write_text('{"request": ')
    with pytest.raises(UserError, match="is damaged"):
        FitFolder(tmp_path / "out", request_)
    assert (tmp_path / "out" / FIT_FILE).read_text() == '{"request": '


def test_the_seconds_of_an_interrupted_step_count_until_it_is_finished(tmp_path: Path, request_: FitRequest) -> None:
    FitFolder(tmp_path / "out", request_).keep_seconds("ranking", 7.0)
    again = FitFolder(tmp_path / "out", request_)
    assert (again.kept_seconds("ranking"), again.seconds_spent) == (7.0, 7.0)
    again.end_step("ranking", 9.0)
    assert FitFolder(tmp_path / "out", request_).seconds_spent == 9.0
