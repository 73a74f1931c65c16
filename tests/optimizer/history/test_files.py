"""Files of a traffic history: they are rotated, stay within a size, and survive a disk that is full."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.optimizer.history.files import HistoryFiles, history_files
from gateway.optimizer.history.layout import FILE_HEADER, pack_record
from gateway.optimizer.history.reading import ReadingTally, read_history
from tests.optimizer.history.records import record

MAX_BYTES = 80_000


def files(directory: Path, max_bytes: int = MAX_BYTES) -> HistoryFiles:
    return HistoryFiles(directory, max_bytes)


def numbers(directory: Path) -> list[int]:
    return [int(each.stream.partition("/")[2]) for each in read_history(directory, ReadingTally())]


def test_the_directory_is_made_and_records_are_appended(tmp_path: Path) -> None:
    written = files(tmp_path / "a" / "b")
    for number in range(3):
        written.append(pack_record(record(number)))
    (path,) = history_files(tmp_path / "a" / "b")
    assert path.stat().st_size == written.held_bytes
    written.close()
    assert numbers(tmp_path / "a" / "b") == [0, 1, 2]


def test_the_oldest_records_make_room_for_the_newest(tmp_path: Path) -> None:
    written = files(tmp_path)
    for number in range(2000):
        written.append(pack_record(record(number)))
        assert sum(path.stat().st_size for path in history_files(tmp_path)) == written.held_bytes <= MAX_BYTES
    written.close()
    kept = numbers(tmp_path)
    assert kept == list(range(kept[0], 2000))
    assert len(kept) > 300
    assert all(path.stat().st_size <= MAX_BYTES // 8 for path in history_files(tmp_path))


def test_files_of_an_earlier_gateway_count_and_files_of_others_stay(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine" * 100_000)
    before = files(tmp_path)
    for number in range(300):
        before.append(pack_record(record(number)))
    before.close()
    written = files(tmp_path, 20_000)
    written.append(pack_record(record(7)))
    assert sum(path.stat().st_size for path in history_files(tmp_path)) == written.held_bytes <= 20_000
    assert numbers(tmp_path)[-1] == 7
    assert (tmp_path / "notes.txt").exists()
    written.close()


def test_two_writers_have_files_of_their_own(tmp_path: Path) -> None:
    one, other = files(tmp_path), files(tmp_path)
    one.append(pack_record(record(1)))
    (path,) = history_files(tmp_path)
    # As if another one, with the same id in another container, had made its file between a look and the next step.
    path.with_name(path.name.replace("000000000001", "000000000002")).write_bytes(b"")
    created, descriptor = other._created(2)
    os.close(descriptor)
    assert created.name.split("-")[1] == "000000000003"
    one.close()


def test_a_directory_that_cannot_be_used_is_an_error_each_time_until_it_can(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.write_text("in the way")
    written = files(place)
    for _ in range(2):
        with pytest.raises(OSError, match="place"):
            written.append(pack_record(record()))
    place.unlink()
    written.append(pack_record(record(3)))
    assert numbers(place) == [3]
    written.close()


FULL_DISK = """
import resource, sys
from pathlib import Path
from gateway.optimizer.history.files import HistoryFiles
from gateway.optimizer.history.layout import pack_record
from tests.optimizer.history.records import record
files = HistoryFiles(Path(sys.argv[1]), 10**6)
for limit_bytes in map(int, sys.argv[2:]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, resource.RLIM_INFINITY))
    try:
        files.append(b"".join(pack_record(record(number)) for number in (1, 2, 3)))
        print("written")
    except OSError as error:
        print(error.strerror, files.held_bytes)
"""
"""Program that writes three records at once for each size that a file may have, which stands for a full disk."""


def on_full_disk(directory: Path, *limits_bytes: int) -> list[str]:
    command = [sys.executable, "-c", FULL_DISK, str(directory), *map(str, limits_bytes)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return ended.stdout.splitlines()


def test_a_write_that_ends_half_way_leaves_no_half_record(tmp_path: Path) -> None:
    three = sum(len(pack_record(record(number))) for number in (1, 2, 3))
    sizes = len(FILE_HEADER) + three, len(FILE_HEADER) + 2 * three
    found = on_full_disk(tmp_path, sizes[0], sizes[1] - 1, sizes[0] + 10, sizes[1])
    assert found == ["written", f"File too large {sizes[0]}", f"File too large {sizes[0]}", "written"]
    tally = ReadingTally()
    assert [each.stream for each in read_history(tmp_path, tally)] == ["wf/1", "wf/2", "wf/3"] * 2
    assert (tally.damaged_bytes, tally.files) == (0, 1)


def test_a_disk_without_any_room_is_not_filled_with_empty_files(tmp_path: Path) -> None:
    assert on_full_disk(tmp_path, 5, 5, 5, 10_000) == ["File too large 0"] * 3 + ["written"]
    assert len(history_files(tmp_path)) == 1
    assert numbers(tmp_path) == [1, 2, 3]


def test_a_directory_that_is_removed_meanwhile_is_made_again(tmp_path: Path) -> None:
    place = tmp_path / "place"
    written = files(place)
    written.append(pack_record(record(1)))
    shutil.rmtree(place)
    written.append(pack_record(record(2)))
    written.close()
    assert numbers(place) == [2]


def test_a_file_that_cannot_be_used_any_more_is_left_for_another_one(tmp_path: Path) -> None:
    """As one that another client of a network file system has removed."""
    written = files(tmp_path)
    written.append(pack_record(record(1)))
    os.close(written._file)
    written.append(pack_record(record(2)))
    written.close()
    assert numbers(tmp_path) == [1, 2]
    assert written.held_bytes == sum(path.stat().st_size for path in history_files(tmp_path))
