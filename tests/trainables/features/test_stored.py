"""Images and features from the store: computed once, by the files and weights that they depend on, and the same."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from tests.trainables.datasets.pictures import picture, saved
from tests.trainables.watching import counted
from trainables.data import images
from trainables.data.dataset import Files, Part, SearchData
from trainables.data.images import ImageFormat
from trainables.data.preprocessing import Preprocessor, Validation
from trainables.errors import SetupError
from trainables.features import feature_cache, fingerprint
from trainables.trainable import TransferModel
from trainables.training import gradient_descent

N = 24


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HPO_CACHE", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def source(tmp_path: Path) -> Files:
    (tmp_path / "pictures").mkdir()
    files = saved(tmp_path / "pictures", *(picture(i, (20, 16)) for i in range(N)))
    return Files(files.paths, torch.arange(N) % 3)


@pytest.mark.parametrize("form", [ImageFormat(8), ImageFormat(8, resize="squash")])
def test_files_are_decoded_once_whatever_is_taken_of_them_later(source: Files, form: ImageFormat, store: Path) -> None:
    expected = torch.stack([images.load(Files((path,), torch.tensor([0])), form).images[0] for path in source.paths])
    n_alone = len(list(store.glob("*.bin")))
    assert torch.equal(images.load(source, form).images, expected)
    whole = source.as_whole()
    for indices in ([5, 2, 11], [0], list(range(1, N))):
        part = images.load(whole.take(indices), form)
        assert torch.equal(part.images, expected[indices])
        assert torch.equal(part.batch(torch.tensor([0])), expected[indices[:1]])
        assert torch.equal(part.labels, source.labels[indices])
        assert torch.equal(part.take([0]).images, expected[indices[:1]])
    assert len(list(store.glob("*.bin"))) == n_alone + 1


def test_parts_of_one_source_share_its_images(source: Files) -> None:
    one, other = (images.load(source.as_whole().take(rows), ImageFormat(8)) for rows in ([1, 2], [0, 3]))
    assert one.key == other.key
    assert (len(one.pool), len(one)) == (N, 2)


def test_a_changed_file_another_size_or_another_file_is_decoded_anew(source: Files) -> None:
    first = images.load(source, ImageFormat(8)).images.clone()
    picture(99, (20, 16)).save(source.paths[3])
    changed = images.load(source, ImageFormat(8)).images
    assert [i for i in range(N) if not torch.equal(first[i], changed[i])] == [3]
    assert images.load(source, ImageFormat(9)).shape == (3, 9, 9)
    assert len(images.load(Files(source.paths[1:], source.labels[1:]), ImageFormat(8))) == N - 1


def test_unreadable_files_are_left_out_of_each_part_or_refused_again_and_again(source: Files) -> None:
    source.paths[3].write_bytes(b"no image")
    for _ in range(2):
        with pytest.raises(SetupError, match=source.paths[3].name):
            images.load(source.as_whole().take([0, 1]), ImageFormat(8))
        part = images.load(source.as_whole().take([1, 3, 5, 6]), ImageFormat(8, skip_unreadable=True))
        assert torch.equal(part.labels, source.labels[[1, 5, 6]])
        assert torch.equal(
            part.images[1], images.load(Files(source.paths[5:6], torch.tensor([0])), ImageFormat(8)).images[0]
        )


def test_many_images_that_are_resized_are_resized_once(monkeypatch: pytest.MonkeyPatch, store: Path) -> None:
    monkeypatch.setattr(images, "MIN_STORED_BYTES", 0)
    part = Part(torch.randint(256, (5, 1, 8, 8), dtype=torch.uint8), torch.zeros(5, dtype=torch.int64))
    resized = images.load(part, ImageFormat(16, channels=3))
    assert len(list(store.glob("*.bin"))) == 1
    again = images.load(Part(part.images.clone(), part.labels), ImageFormat(16, channels=3))
    assert len(list(store.glob("*.bin"))) == 1
    assert torch.equal(resized.images, again.images)
    assert resized.key == again.key != images.load(part, ImageFormat(16)).key
    images.load(Part(part.images + 1, part.labels), ImageFormat(16, channels=3))
    assert len(list(store.glob("*.bin"))) == 2


def model(seed: int = 0) -> TransferModel:
    torch.manual_seed(seed)
    first = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    second = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten())
    made = TransferModel({"first": first, "second": second}, nn.Linear(16, 3))
    made.mark_pretrained()
    return made


def computed(made: TransferModel, part: Part) -> tuple[Tensor, float]:
    """The features of a part, and how many batches went through the first stage for them."""
    store = feature_cache.FeatureCache(2**20)
    with counted(made) as counts:
        values, rows = store.get(made, part, 2, fingerprint.of_stages(made, 2))
    return (values if rows is None else values[rows]), counts["first"]


def test_features_of_weights_from_a_file_are_computed_once_for_all_parts_and_processes(source: Files) -> None:
    parts = [images.load(source.as_whole().take(rows), ImageFormat(8)) for rows in ([1, 2, 9], [0, 3])]
    (first, n_first), (second, n_second) = (computed(model(), part) for part in parts)
    assert (n_first, n_second) == (N, 0)
    with torch.no_grad():
        for part, found in zip(parts, (first, second), strict=True):
            torch.testing.assert_close(found, model().eval().features(part.images))
    assert computed(model(1), parts[0])[1] == N


def test_features_of_stages_that_a_trial_trained_are_kept_in_memory_alone(source: Files, store: Path) -> None:
    part = images.load(source.as_whole(), ImageFormat(8))
    trained = model()
    trained.freeze(["second"])
    trained.train()  # the first stage trains
    trained.freeze(["first", "second"])
    n_entries = len(list(store.glob("*.bin")))
    values, rows = feature_cache.FeatureCache(2**20).get(trained, part, 2, fingerprint.of_stages(trained, 2))
    assert (len(values), rows) == (N, None)
    assert len(list(store.glob("*.bin"))) == n_entries


def test_a_full_disk_costs_time_but_no_result(
    source: Files, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = computed(model(), images.load(source, ImageFormat(8)))[0]
    place = source.paths[0].parent / "a file, no folder"
    place.touch()
    monkeypatch.setenv("HPO_CACHE", str(place / "store"))
    found, times = computed(model(), images.load(source, ImageFormat(8)))
    assert torch.equal(found, expected)
    assert times == N
    assert "they stay in memory" in capsys.readouterr().err


@pytest.mark.parametrize(("variable", "value"), [("HPO_CACHE_GB", "0"), ("HPO_CACHE", "/proc/no/store")])
def test_without_room_on_disk_features_are_still_computed_once(
    source: Files, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    part = images.load(source, ImageFormat(8))
    made = model()
    made.freeze(made.stages)
    trained = gradient_descent.build({"lr": 0.1}, made, SearchData(part, part.take(range(9)), ("a", "b", "c")), "cpu")
    with counted(made) as counts:
        trained.step()
        trained.step()
    assert counts["first"] == N + 9


def losses(source: Files, frozen: list[str], config: dict[str, object]) -> list[float]:
    """What three epochs report."""
    cut = source.as_whole()
    train, validation = (images.load(cut.take(rows), ImageFormat(8)) for rows in (range(0, N, 2), range(1, N, 2)))
    made = model()
    made.freeze(frozen)
    torch.manual_seed(5)
    config = {"lr": 0.1, "batch_size": 5, **config}
    trained = gradient_descent.build(config, made, SearchData(train, validation, ("a", "b", "c")), "cpu")  # type: ignore[arg-type]
    return [value for _ in range(3) for value in trained.step().values()]


@pytest.mark.parametrize("frozen", [["first", "second"], ["first"], []])
@pytest.mark.parametrize("config", [{}, {"precision": "bf16"}, {"augmentation": "flip_rotation"}])
def test_with_the_store_and_without_it_a_training_reports_the_same(
    source: Files, monkeypatch: pytest.MonkeyPatch, frozen: list[str], config: dict[str, object]
) -> None:
    with_store = [losses(source, frozen, config) for _ in range(2)]
    monkeypatch.setenv("HPO_CACHE", "off")
    monkeypatch.setattr(feature_cache.SHARED, "fits", lambda *arguments: False)  # nor in memory: every image each time
    without = losses(source, frozen, config)
    for found in with_store:
        assert found == pytest.approx(without, abs=1e-5 if "precision" not in config else 1e-2)


@dataclass(frozen=True)
class Pictures:
    """A data set of files."""

    taught: Files
    kept: Files
    name: str = "pictures"
    classes: tuple[str, ...] = ("a", "b", "c")

    def training(self) -> Files:
        return self.taught

    def held_out(self) -> Files:
        return self.kept


def test_no_file_of_the_held_out_part_is_read_with_those_of_the_training_part(source: Files) -> None:
    """Both are taken of one list of files, as where the held-out part is cut by seed; those held out are broken."""
    taught, kept = source.take(range(18)), source.take(range(18, N))
    for path in kept.paths:
        path.write_bytes(b"no image")
    validations = (Validation(fraction=0.5), Validation(fraction=None, folds=3))
    for validation in validations:
        for data in Preprocessor(Pictures(taught, kept), validation).folds(ImageFormat(8)):
            assert len(data.train) + len(data.validation) == 18
            assert len(data.train.pool) == 18


def test_files_of_another_folder_with_equal_names_sizes_and_times_are_others(tmp_path: Path) -> None:
    found = []
    for folder, colour in (("one", (10, 10, 10)), ("two", (200, 200, 200))):
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "0.bmp"
        Image.new("RGB", (8, 8), colour).save(path)
        os.utime(path, (0, 0))
        found.append(float(images.load(Files((path,), torch.tensor([0])), ImageFormat(8)).images.float().mean()))
    assert found == [10, 200]


def test_a_file_that_could_not_be_opened_is_looked_for_again(tmp_path: Path) -> None:
    """A link to nowhere, until what it points to is there: not its own size or time change then."""
    source = saved(tmp_path / "some", *(picture(i) for i in range(3)))
    away = source.paths[1].rename(tmp_path / "away.png")
    source.paths[1].symlink_to(tmp_path / "back.png")
    form = ImageFormat(8, skip_unreadable=True)
    source = Files(source.paths, torch.zeros(3, dtype=torch.int64))
    assert len(images.load(source, form)) == 2
    away.rename(tmp_path / "back.png")
    assert len(images.load(source, form)) == 3


class Chosen(nn.Module):
    """A stage whose form stands in a tuple and a function."""

    def __init__(self, columns: tuple[int, int], change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.columns, self.change = columns, change

    def forward(self, features: Tensor) -> Tensor:
        return self.change(features.flatten(1)[:, slice(*self.columns)])


def test_stages_that_differ_in_a_tuple_or_a_function_have_features_of_their_own(source: Files, store: Path) -> None:
    part = images.load(source, ImageFormat(8))
    kept = feature_cache.FeatureCache(2**20)
    found = []
    for columns, change in (((0, 2), torch.relu), ((4, 6), torch.relu), ((0, 2), torch.neg), ((0, 2), lambda x: 2 * x)):
        made = TransferModel({"first": Chosen(columns, change)}, nn.Linear(2, 3))
        made.mark_pretrained()
        values, _ = kept.get(made, part, 1, fingerprint.of_stages(made, 1))
        expected = change(made.preprocess(part.images).flatten(1)[:, slice(*columns)])
        torch.testing.assert_close(values, expected)
        found.append(values)
    assert len(list(store.glob("features*.bin"))) == 3  # nobody knows a lambda again
