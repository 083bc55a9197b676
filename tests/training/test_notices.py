import logging
import threading
from pathlib import Path

from hpo.training import notices

logger = logging.getLogger("trainables.some.module")


def test_notices_are_kept_once_and_in_order(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    assert notices.read(folder) == []
    for _ in range(2):
        with notices.recorded(folder):
            logger.warning("%s is read", "é.pth")
            logger.warning("two\nlines")
            logger.info("nothing that a user needs to know")
    assert notices.read(folder) == ["é.pth is read", "two lines"]
    assert (folder / notices.FILE).read_text(encoding="utf-8").count("\n") == 2


def test_a_notice_of_another_thread_or_of_later_is_not_kept(tmp_path: Path) -> None:
    with notices.recorded(tmp_path):
        other = threading.Thread(target=logger.warning, args=("another study",))
        other.start()
        other.join()
    logger.warning("later")
    assert notices.read(tmp_path) == []


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with notices.recorded(tmp_path / "file"):
        logger.warning("lost")
    assert notices.read(tmp_path / "file") == []


def test_a_name_that_is_not_utf8_stands_in_the_notice_with_escapes(tmp_path: Path) -> None:
    parent = logging.getLogger(notices.LOGGER)
    parent.propagate = False  # the report of pytest cannot hold such a name
    try:
        with notices.recorded(tmp_path):
            logger.warning("%s is read", "caf\udce9.pth")
    finally:
        parent.propagate = True
    assert notices.read(tmp_path) == [r"caf\xe9.pth is read"]


def test_a_damaged_file_of_notices_is_read_all_the_same(tmp_path: Path) -> None:
    (tmp_path / notices.FILE).write_bytes(b"one\ncaf\xe9\n")
    assert notices.read(tmp_path) == ["one", "caf\ufffd"]
