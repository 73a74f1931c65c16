"""Files of a store: which of them belong together."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.streams.store_files import kept_together, log_of


@pytest.mark.parametrize("name", ["streams.db", "current.db"])
def test_a_file_and_its_log_belong_together_while_the_log_has_something(tmp_path: Path, name: str) -> None:
    path, log = tmp_path / "streams.db", tmp_path / "streams.db-wal"
    (tmp_path / "current.db").symlink_to("streams.db")
    assert log_of(tmp_path / name) == log
    assert kept_together(tmp_path / name) == f"{path} is complete without its log"
    log.touch()
    assert kept_together(tmp_path / name) == f"{path} is complete without its log"
    log.write_bytes(b"1")
    assert kept_together(tmp_path / name) == f"{path} and {log} belong together: copy or move both"
