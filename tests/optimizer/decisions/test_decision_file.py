"""The decision file: written as a whole, and set aside if it holds anything else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.optimizer.decisions.decision import Decision, DecisionKey
from gateway.optimizer.decisions.decision_file import ASIDE, NAME, DecisionFile
from gateway.optimizer.decisions.decision_table import DecisionTable
from gateway.protocol.encoding import Chain

KEY = DecisionKey("wf/a", frozenset({"lz4"}), "2 Mbit/s", "frys-python")
DECISION = Decision(Chain(False, "lz4"), None, 0.25, 0.5, "half the bytes")


def table() -> DecisionTable:
    made = DecisionTable()
    made.put(KEY, DECISION)
    return made


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    file = DecisionFile(tmp_path / "made")
    assert list(file.read()) == []
    file.write(table())
    assert list(file.read()) == [(KEY, DECISION)]
    file.write(DecisionTable())
    assert list(file.read()) == []
    assert [each.name for each in (tmp_path / "made").iterdir()] == [NAME]


@pytest.mark.parametrize("text", [b"", b"\xff\x00", b"{}", table().to_json()[:-9], b'{"version": 1, "decisions": [7]}'])
def test_anything_else_is_set_aside_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: bytes
) -> None:
    (tmp_path / NAME).write_bytes(text)
    file = DecisionFile(tmp_path)
    assert list(file.read()) == []
    assert f"it is set aside as {ASIDE}, and learning starts anew" in caplog.text
    assert (tmp_path / ASIDE).read_bytes() == text
    file.write(table())
    assert list(file.read()) == [(KEY, DECISION)]


def test_a_file_that_cannot_be_read_stays_where_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / NAME).mkdir()
    assert list(DecisionFile(tmp_path).read()) == []
    assert "Is a directory; learning starts anew" in caplog.text
    assert (tmp_path / NAME).is_dir()


def test_what_cannot_be_written_leaves_the_table_before_and_no_part(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    with pytest.raises(OSError, match="directory"):
        DecisionFile(tmp_path).write(table())
    assert [each.name for each in tmp_path.iterdir()] == [NAME]
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        DecisionFile(tmp_path / "file").write(table())


def test_two_that_write_at_once_leave_a_whole_table(tmp_path: Path) -> None:
    """A stop beside a thread that still writes, and gateways in containers, which have one process id."""

    def write(_: int) -> None:
        for _ in range(50):
            DecisionFile(tmp_path).write(table())

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(write, range(2)))
    assert list(DecisionFile(tmp_path).kept()) == [(KEY, DECISION)]
    assert [each.name for each in tmp_path.iterdir()] == [NAME]
