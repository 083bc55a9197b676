import os
from pathlib import Path

import pytest

from tests.trainables.datasets.pictures import picture
from trainables.data.dataset import LeftOut
from trainables.datasets import _image_files
from trainables.datasets._image_files import find_images
from trainables.errors import SetupError


def found(folder: Path) -> list[str]:
    """The images in a folder, by their relative paths."""
    return [path.relative_to(folder).as_posix() for path in find_images([folder])[0].images]


def kinds(folder: Path) -> dict[str, str]:
    """The kind of each file that is left out, by its relative path."""
    return {each.path.relative_to(folder).as_posix(): each.kind for each in find_images([folder])[0].left_out}


def save(path: Path, kind: str = "PNG") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(0).save(path, format=kind)
    return path


def test_images_are_found_at_any_depth_in_the_order_of_their_paths(tmp_path: Path) -> None:
    names = ["a.png", "b/a.png", "b/c/d/e.png", "c.png", "c/a.png"]
    for name in reversed(names):
        save(tmp_path / name)
    assert found(tmp_path) == sorted(names)
    assert not find_images([tmp_path])[0].left_out


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jfif", "JPEG"),
        ("a.jpe", "JPEG"),
        ("a.avif", "AVIF"),
        ("a.tga", "TGA"),
        ("a.jp2", "JPEG2000"),
        ("a", "PNG"),
        ("a.photo", "WEBP"),
        ("a.JPG_large", "JPEG"),
        ("2024.05.01", "TIFF"),
    ],
)
def test_an_image_is_found_whatever_its_suffix(tmp_path: Path, name: str, kind: str) -> None:
    save(tmp_path / name, kind)
    assert found(tmp_path) == [name]


@pytest.mark.parametrize("name", ["empty.png", "broken.JPEG", "a.heic"])
def test_a_file_with_the_suffix_of_an_image_is_one_so_that_reading_it_tells_what_is_wrong(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(b"")
    assert found(tmp_path) == [name]


def test_what_is_left_out_is_named_with_the_reason(tmp_path: Path) -> None:
    for name in (".hidden.png", ".cache/a.png", "@eaDir/a.jpg/thumb.png", "__MACOSX/a.png"):
        save(tmp_path / name)
    for name in ("Thumbs.db", "notes.TXT", "labels.csv", "a.jxl", "document.pdf", "no_suffix", "photo.CR2", "x.nef"):
        (tmp_path / name).write_bytes(b"\xff\x0a no picture")
    (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "itself.jpg").symlink_to("itself.jpg")
    os.mkfifo(tmp_path / "pipe.png")
    expected = {
        _image_files.HIDDEN: (".hidden.png", ".cache", "@eaDir", "__MACOSX", "Thumbs.db"),
        _image_files.TEXT: ("notes.TXT", "labels.csv"),
        _image_files.UNKNOWN: ("a.jxl", "document.pdf", "no_suffix"),
        _image_files.RAW: ("photo.CR2", "x.nef"),
        _image_files.BROKEN_LINK: ("gone.jpg", "itself.jpg"),
        _image_files.SPECIAL: ("pipe.png",),
    }
    assert kinds(tmp_path) == {name: kind for kind, names in expected.items() for name in names}
    assert found(tmp_path) == []


def test_notes_and_files_of_the_system_do_not_matter_and_all_others_may(tmp_path: Path) -> None:
    for name in ("notes.txt", ".DS_Store", "a.jxl"):
        (tmp_path / name).write_bytes(b"no picture")
    left_out = find_images([tmp_path])[0].left_out
    assert {each.path.name: each.may_matter for each in left_out} == {
        ".DS_Store": False,
        "a.jxl": True,
        "notes.txt": False,
    }


def test_links_to_files_and_folders_are_followed(tmp_path: Path) -> None:
    save(tmp_path / "elsewhere/deep/a.png")
    folder = tmp_path / "class"
    folder.mkdir()
    (folder / "one.png").symlink_to(tmp_path / "elsewhere/deep/a.png")
    (folder / "all").symlink_to(tmp_path / "elsewhere")
    assert found(folder) == ["all/deep/a.png", "one.png"]


def test_a_class_folder_may_itself_be_a_link(tmp_path: Path) -> None:
    save(tmp_path / "elsewhere/a.png")
    (tmp_path / "class").symlink_to("elsewhere")
    assert found(tmp_path / "class") == ["a.png"]


def test_links_that_lead_back_end_and_bring_in_no_other_class(tmp_path: Path) -> None:
    save(tmp_path / "classes/rose/b/a.png")
    save(tmp_path / "classes/daisy/other.png")
    rose = tmp_path / "classes/rose"
    for name in ("a_link", "z_link"):
        (rose / name).symlink_to("b")
    (rose / "itself").symlink_to(".")
    (rose / "b/up").symlink_to("../..")
    assert found(rose) == ["b/a.png"]  # not by a link
    assert kinds(rose) == dict.fromkeys(("a_link", "z_link", "itself", "b/up"), _image_files.REPEATED)


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"missing: cannot be listed \(No such file or directory\)"):
        _image_files.list_folder(tmp_path / "missing")


def test_names_that_are_not_utf8_are_listed(tmp_path: Path) -> None:
    path = save(tmp_path / os.fsdecode(b"caf\xe9/bild\xff.png"))
    (path.parent / os.fsdecode(b"notiz\xfe")).write_text("")
    found = find_images([tmp_path])[0]
    assert found.images == [path]
    assert found.left_out == [LeftOut(path.parent / os.fsdecode(b"notiz\xfe"), _image_files.UNKNOWN)]


@pytest.mark.parametrize(("source", "other"), [("a", "b"), ("b", "a")])
def test_a_link_into_another_class_adds_no_image_and_is_counted(tmp_path: Path, source: str, other: str) -> None:
    for name in "ab":
        save(tmp_path / name / "deep/1.png")
    (tmp_path / source / "link").symlink_to(f"../{other}")
    (tmp_path / source / "deeper").symlink_to(f"../{other}/deep")
    by_class = find_images([tmp_path / "a", tmp_path / "b"])
    assert [found.images for found in by_class] == [[tmp_path / name / "deep/1.png"] for name in "ab"]
    left_out = [LeftOut(tmp_path / source / name, _image_files.REPEATED) for name in ("deeper", "link")]
    assert [found.left_out for found in by_class] == ([left_out, []] if source == "a" else [[], left_out])


@pytest.mark.parametrize(
    ("target", "whose"),
    [
        ("b", "b, which has its images already"),
        ("b/deep", "b, which has its images already"),
        ("../elsewhere", "0, which has its images already"),
        (".", "a folder above it"),
    ],
)
def test_a_class_that_is_a_link_to_images_of_another_is_an_error(tmp_path: Path, target: str, whose: str) -> None:
    save(tmp_path / "elsewhere/1.png")
    save(tmp_path / "zoo/b/deep/1.png")
    folders = [tmp_path / "zoo" / name for name in ("0", "a", "b")]
    folders[0].symlink_to("../elsewhere")
    folders[1].symlink_to(target)
    with pytest.raises(SetupError, match=f"zoo/a: is a link to .*{whose}; remove the link, or give this class"):
        find_images(folders)
