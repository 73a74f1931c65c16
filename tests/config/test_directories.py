"""Directories that a gateway could not write to are refused before it starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.config import Settings
from gateway.config.bounds import check_settings, check_start
from gateway.config.directories import check_directory
from gateway.errors import InvalidArgument
from gateway.optimizer.settings import OptimizerSettings


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


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_a_directory_that_the_user_may_not_write_is_refused(tmp_path: Path, mode: int) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode)
    for path in (closed, closed / "traffic"):
        with pytest.raises(InvalidArgument, match=f"this user may not write {closed}"):
            check_directory("history_dir", path)
