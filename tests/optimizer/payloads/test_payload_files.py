"""Files of stored payloads: only their owner may read them, and they go by size and by age."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from gateway.optimizer.payloads.payload_files import PayloadFiles, payload_files, stored_payloads
from tests.optimizer.payloads.payloads import stored

DAY_S = 86_400.0


def test_each_has_a_file_that_only_its_owner_may_read(tmp_path: Path) -> None:
    directory = tmp_path / "payloads"
    old = os.umask(0)
    try:
        files = PayloadFiles(directory, 10**6, DAY_S)
        first, second = stored(1), stored(2, base=True)
        files.append(first.pack() + second.pack())
    finally:
        os.umask(old)
    assert [path.stat().st_mode & 0o777 for path in payload_files(directory)] == [0o600, 0o600]
    assert directory.stat().st_mode & 0o777 == 0o700
    assert list(stored_payloads(directory, 10)) == [first, second]
    assert list(stored_payloads(directory, 1)) == [second]
    assert files.held_bytes == sum(path.stat().st_size for path in directory.iterdir())


def test_the_oldest_are_removed_past_the_size_also_those_of_other_writers(tmp_path: Path) -> None:
    other, files = PayloadFiles(tmp_path, 10**6, DAY_S), PayloadFiles(tmp_path, 10_000, DAY_S)
    other.append(b"".join([stored(number).pack() for number in range(5)]))
    for number in range(5, 30):
        files.append(stored(number).pack())
        files.remove_old()
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10_000
    assert [each.description.time_ns for each in stored_payloads(tmp_path, 100)][-1] == 29
    assert 5 <= len(payload_files(tmp_path)) <= 8


def test_without_a_look_at_the_others_the_size_is_kept_as_well(tmp_path: Path) -> None:
    files = PayloadFiles(tmp_path, 10_000, DAY_S)
    for number in range(40):
        files.append(stored(number).pack())
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) == files.held_bytes <= 10_000


def test_those_that_are_too_old_are_removed_whatever_the_size(tmp_path: Path) -> None:
    files = PayloadFiles(tmp_path, 10**6, DAY_S)
    files.append(stored(1).pack() + stored(2).pack())
    old = payload_files(tmp_path)[0]
    os.utime(old, (0, 0))
    files.remove_old()
    assert [each.description.time_ns for each in stored_payloads(tmp_path, 10)] == [2]


def test_a_file_to_which_another_writer_has_not_written_yet_stays(tmp_path: Path) -> None:
    files = PayloadFiles(tmp_path, 10_000, DAY_S)
    files.append(stored(1).pack())
    begun = tmp_path / f"payload-{2**63:020d}-1.frys"
    begun.touch()
    files.remove_old()
    assert begun.exists()
    assert len(payload_files(tmp_path)) == 2


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 7)
    there = tmp_path / f"payload-{7:020d}-{os.getpid()}.frys"
    there.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        PayloadFiles(tmp_path, 10**6, DAY_S).append(stored().pack())
    assert list(tmp_path.iterdir()) == [there]


def test_nothing_stays_of_one_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = PayloadFiles(tmp_path, 10**6, DAY_S)

    def full(file: int, data: memoryview) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space"):
            files.append(stored().pack())
    assert list(tmp_path.iterdir()) == []
    assert files.held_bytes == 0
    files.append(stored().pack())
    assert len(payload_files(tmp_path)) == 1


def test_files_that_are_damaged_are_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    PayloadFiles(tmp_path, 10**6, DAY_S).append(b"".join([stored(number).pack() for number in range(3)]))
    damaged = payload_files(tmp_path)[1]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    (tmp_path / "notes.txt").write_text("not one of them")
    with caplog.at_level(logging.WARNING):
        assert [each.description.time_ns for each in stored_payloads(tmp_path, 10)] == [0, 2]
    assert f"{damaged} is left out" in caplog.text


def test_a_directory_that_is_missing_has_none(tmp_path: Path) -> None:
    assert list(stored_payloads(tmp_path / "none", 10)) == []
    PayloadFiles(tmp_path / "none", 10**6, DAY_S).remove_old()
