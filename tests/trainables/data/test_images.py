from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from tests.trainables.datasets.pictures import files, picture, saved
from trainables import vision
from trainables.data.dataset import Files, Part
from trainables.data.decoding import read
from trainables.data.images import VALUES_PER_BATCH, ImageFormat, load, statistics

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets how many threads torch may use."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def pixels(image: Image.Image) -> torch.Tensor:
    """(channels, height, width)."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def stripes(width: int, height: int) -> Image.Image:
    """Thirds in red, green and blue, from left to right."""
    image = Image.new("RGB", (width, height), GREEN)
    image.paste(RED, (0, 0, width // 3, height))
    image.paste(BLUE, (width - width // 3, 0, width, height))
    return image


def test_files_become_one_part_in_their_order_pixel_by_pixel(tmp_path: Path) -> None:
    images = [picture(i, (8, 8)) for i in range(70)]
    source = saved(tmp_path, *images)
    source = Files(source.paths, torch.arange(70) % 3)
    part = load(source, ImageFormat(size=8))
    assert torch.equal(part.images, torch.stack([pixels(image) for image in images]))
    assert torch.equal(part.labels, source.labels)
    assert part.images.is_contiguous()


@pytest.mark.parametrize("resize", ["crop", "squash"])
def test_the_number_of_threads_changes_nothing(tmp_path: Path, threads: Callable[[int], None], resize: str) -> None:
    source = saved(tmp_path, *(picture(i, (9 + i % 7, 9 + i % 5)) for i in range(100)))
    loaded = []
    for n in (1, 3):
        threads(n)
        loaded.append(load(source, ImageFormat(size=8, resize=resize)).images)
    assert torch.equal(*loaded)


@pytest.mark.parametrize("turned", [False, True])
def test_crop_keeps_the_middle_and_squash_keeps_all(tmp_path: Path, turned: bool) -> None:
    image = stripes(60, 20)
    source = saved(tmp_path, image.transpose(Image.Transpose.ROTATE_270) if turned else image)
    # The filter takes in a little of what lies beyond the edge of the middle, as after a resize of all.
    inner = load(source, ImageFormat(size=10)).images[0, :, 1:-1, 1:-1]
    assert torch.equal(inner, torch.tensor(GREEN, dtype=torch.uint8)[:, None, None].expand(3, 8, 8))
    squashed = load(source, ImageFormat(size=10, resize="squash")).images[0]
    across = squashed[:, :, 5] if turned else squashed[:, 5]
    assert [tuple(across[:, i].tolist()) for i in (0, 5, 9)] == [RED, GREEN, BLUE]


@pytest.mark.parametrize("sides", [(40, 30), (30, 41), (17, 33), (5, 4), (100, 3), (24, 24)])
@pytest.mark.parametrize("resize", ["crop", "squash"])
def test_sizes_change_as_those_of_torchvision_do(tmp_path: Path, sides: tuple[int, int], resize: str) -> None:
    image, size = picture(1, sides), 16
    transforms = vision.transforms()
    resized = transforms.Resize(size if resize == "crop" else (size, size))(image)
    expected = pixels(transforms.CenterCrop(size)(resized))
    loaded = load(saved(tmp_path, image), ImageFormat(size=size, resize=resize)).images[0]
    assert (loaded.int() - expected.int()).abs().max() <= 1


@pytest.mark.parametrize("sides", [(40, 30), (30, 41), (5, 4)])
@pytest.mark.parametrize("resize", ["crop", "squash"])
def test_a_part_is_resized_as_files_are(tmp_path: Path, sides: tuple[int, int], resize: str) -> None:
    image, form = picture(2, sides), ImageFormat(size=16, resize=resize)
    part = Part(pixels(image)[None], torch.tensor([0]))
    of_file = load(saved(tmp_path, image), form).images
    resized = load(part, form).images
    assert resized.dtype == torch.uint8
    difference = (resized.int() - of_file.int()).float()
    assert difference.abs().max() <= 1
    assert difference.mean().abs() < 0.25
    real = load(Part(part.images.float() / 255, part.labels), form).images
    assert real.dtype == torch.float32
    assert_close(real * 255, of_file.float(), rtol=0, atol=1.001)


def test_many_images_are_resized_one_like_the_other() -> None:
    images = torch.stack([pixels(picture(i, (64, 64))) for i in range(50)])
    assert images.numel() > 2 * VALUES_PER_BATCH
    part = load(Part(images, torch.zeros(50, dtype=torch.int64)), ImageFormat(size=24))
    for i in (0, 25, 49):
        alone = load(Part(images[i : i + 1], torch.tensor([0])), ImageFormat(size=24))
        assert torch.equal(part.images[i], alone.images[0])


@pytest.mark.parametrize(
    "form", [ImageFormat(), ImageFormat(size=12), ImageFormat(size=12, channels=3), ImageFormat(channels=3)]
)
def test_a_part_that_has_the_form_already_stays_as_it_is(form: ImageFormat) -> None:
    part = Part(torch.zeros(2, 3, 12, 12), torch.zeros(2, dtype=torch.int64))
    assert load(part, form) is part


def test_grey_is_repeated_where_colour_is_asked_for() -> None:
    part = Part(torch.arange(32, dtype=torch.uint8).reshape(2, 1, 4, 4), torch.tensor([1, 0]))
    coloured = load(part, ImageFormat(channels=3))
    assert torch.equal(coloured.images, torch.cat([part.images] * 3, dim=1))
    assert torch.equal(coloured.labels, part.labels)


def test_colour_does_not_become_grey(tmp_path: Path) -> None:
    sources = (Part(torch.zeros(1, 3, 8, 8), torch.tensor([0])), saved(tmp_path, picture(0)))
    for source in sources:
        with pytest.raises(ValueError, match="`model` needs images of 1 channels, but those of the data set have 3"):
            load(source, ImageFormat(size=8, channels=1))


def test_files_need_a_size(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`image_size` must be given for a data set of files"):
        load(saved(tmp_path, picture(0)), ImageFormat())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 0}, "`image_size` must be a whole number of at least 1, but is 0"),
        ({"resize": "stretch"}, "`resize` must be one of crop, squash, but is 'stretch'"),
    ],
)
def test_a_form_that_cannot_be_is_refused(values: dict[str, int | str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ImageFormat(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_an_image_of_any_mode_is_read_as_colour(tmp_path: Path, mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((4, 4), 0x80FF, dtype=np.uint16))
    else:
        image = Image.new("RGB", (4, 4), (255, 255, 255) if mode == "1" else (128, 128, 128)).convert(mode)
    path = tmp_path / ("image.tif" if mode in ("CMYK", "YCbCr") else "image.png")
    image.save(path)
    with Image.open(path) as opened:
        assert opened.mode == mode
    red, green, blue = load(files(path), ImageFormat(size=4)).images[0].float().mean((1, 2)).tolist()
    assert red == green == blue == pytest.approx(255 if mode == "1" else 128, abs=1)


def test_what_is_transparent_shows_its_colour(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(tmp_path / "image.png", transparency=bytes([0, 128]))
    assert read(tmp_path / "image.png").getpixel((0, 0)) == (10, 20, 30)


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_statistics_are_those_of_all_pixels_as_0_to_1(kind: torch.dtype) -> None:
    images = torch.randint(0, 256, (90, 3, 40, 50), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[:, 1] //= 2
    images[:, 2, :, :25] = 0
    assert images.numel() > 2 * VALUES_PER_BATCH
    scaled = images.double() / 255
    part = Part(images if kind == torch.uint8 else scaled.float(), torch.zeros(90, dtype=torch.int64))
    mean, std = statistics(part)
    assert mean == pytest.approx(scaled.mean((0, 2, 3)).tolist(), rel=1e-7)
    assert std == pytest.approx(scaled.std((0, 2, 3), correction=0).tolist(), rel=1e-7)


@pytest.mark.parametrize("value", [0.11, 0.22, 0.44, 0.87, 0.99])
def test_a_channel_of_one_brightness_has_no_deviation(value: float) -> None:
    mean, std = statistics(Part(torch.full((7, 1, 9, 11), value), torch.zeros(7, dtype=torch.int64)))
    assert mean == pytest.approx((value,), rel=1e-7)
    assert std == pytest.approx((0,), abs=1e-7)
