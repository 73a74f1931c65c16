"""Directories that a gateway could not write to are refused before it starts."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from gateway.config import Settings
from gateway.config.bounds import check_settings, check_start
from gateway.config.directories import check_directory
from gateway.errors import InvalidArgument
from gateway.optimizer.settings import OptimizerSettings

NOBODY: Final = 65534
"""User id that owns nothing, by convention."""


def test_a_directory_that_is_there_or_can_be_made_is_good_and_not_touched(tmp_path: Path) -> None:
    check_directory("history_dir", tmp_path)
    check_directory("history_dir", tmp_path / "new" / "traffic")
    check_directory("history_dir", Path(os.path.relpath(tmp_path / "new")))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", ["", "traffic", "traffic/of/today"])
def test_a_file_is_no_directory(tmp_path: Path, below: str) -> None:
    file = tmp_path / "passwd"
    file.write_text("root")
    settings = Settings(optimizer=OptimizerSettings(history_dir=str(file / below)))
    for check in (check_start, check_settings):
        with pytest.raises(InvalidArgument, match=f"^history_dir {file / below}: {file} is not a directory: name one"):
            check(settings)


def test_a_link_to_nothing_is_no_directory(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "gone")
    with pytest.raises(InvalidArgument, match="link is not a directory"):
        check_directory("history_dir", link)


@contextmanager
def without_rights() -> Iterator[None]:
    """Run as a user who owns nothing, as root may write everywhere; other users are what they are."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.fixture
def open_path() -> Iterator[Path]:
    """Directory that every user may read, which those of pytest are not."""
    with TemporaryDirectory() as directory:
        path = Path(directory)
        path.chmod(0o755)
        yield path


@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_a_directory_that_the_user_may_not_write_is_refused(open_path: Path, mode: int) -> None:
    closed = open_path / "closed"
    closed.mkdir(mode)
    for path in (closed, closed / "traffic"):
        with without_rights(), pytest.raises(InvalidArgument, match=f"this user may not write {closed}"):
            check_directory("history_dir", path)
