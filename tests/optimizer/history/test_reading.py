"""Reading of a traffic history: whatever is damaged, the rest is read."""

from __future__ import annotations

import logging
import os
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.optimizer.history.files import HistoryFiles, history_files
from gateway.optimizer.history.layout import FILE_HEADER, HEADER, MARK, TRIAL_KIND, framed, pack_record
from gateway.optimizer.history.reading import ReadingTally, newest_trials, read_events, read_history, records_in
from gateway.optimizer.history.record import ShadowTrial
from gateway.optimizer.history.trial_record import pack_trial
from tests.optimizer.history.records import record, shadow_trial

RECORDS = [record(number) for number in range(5)]
PACKED = [pack_record(each) for each in RECORDS]
FILE = FILE_HEADER + b"".join(PACKED)
ENDS = [len(FILE_HEADER) + sum(map(len, PACKED[:number])) for number in range(len(PACKED) + 1)]
"""Places behind so many records."""


def test_a_sound_file_is_read_whole() -> None:
    tally = ReadingTally()
    assert list(records_in(FILE, tally)) == RECORDS
    assert tally == ReadingTally(records=5)


def test_a_file_that_is_cut_off_anywhere_has_the_records_before() -> None:
    for length in range(len(FILE)):
        tally = ReadingTally()
        whole = sum(end <= length for end in ENDS[1:])
        assert list(records_in(FILE[:length], tally)) == RECORDS[:whole]
        assert tally.damaged_bytes == (length - ENDS[whole] if length >= ENDS[0] else length)


def test_a_byte_that_is_changed_costs_the_record_that_it_is_in_and_no_other() -> None:
    for at, byte in enumerate(FILE):
        touched = next((number for number, end in enumerate(ENDS[1:]) if ENDS[number] <= at < end), None)
        expected = [each for number, each in enumerate(RECORDS) if number != touched]
        for changed in {byte ^ 0xFF, byte ^ 1, 0} - {byte}:
            tally = ReadingTally()
            assert list(records_in(FILE[:at] + bytes([changed]) + FILE[at + 1 :], tally)) == expected
            assert tally.damaged_bytes == (len(FILE_HEADER) if touched is None else len(PACKED[touched]))


@settings(max_examples=200)
@given(st.data())
def test_bytes_that_are_lost_or_come_in_between_cost_the_records_that_they_are_in(data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(FILE)))
    end = data.draw(st.integers(begin, min(len(FILE), begin + 300)))
    between = data.draw(st.binary(max_size=50) | st.just(MARK * 10))
    found = list(records_in(FILE[:begin] + between + FILE[end:], ReadingTally()))
    safe = [each for number, each in enumerate(RECORDS) if ENDS[number + 1] <= begin or ENDS[number] >= end]
    assert [each for each in found if each in safe] == safe
    assert len(found) <= len(RECORDS)


@given(st.binary(max_size=2000))
def test_any_bytes_are_read_without_an_error(data: bytes) -> None:
    tally = ReadingTally()
    list(records_in(data, tally))
    assert tally.damaged_bytes <= len(data)


def test_a_record_of_another_kind_is_counted_and_left_out() -> None:
    body = b"quite different"
    checksum = zlib.crc32(bytes([9]) + len(body).to_bytes(2, "little") + body)
    other = HEADER.pack(MARK, 9, len(body), checksum) + body
    tally = ReadingTally()
    assert list(records_in(FILE_HEADER + PACKED[0] + other + PACKED[1], tally)) == RECORDS[:2]
    assert (tally.unknown_records, tally.damaged_bytes) == (1, 0)


def test_shadow_trials_stand_between_records() -> None:
    tally, trials = ReadingTally(), list[ShadowTrial]()
    data = FILE_HEADER + PACKED[0] + pack_trial(shadow_trial(1)) + PACKED[1] + framed(TRIAL_KIND, b"short")
    assert list(records_in(data, tally, trials.append)) == RECORDS[:2] == list(records_in(data, ReadingTally()))
    assert trials == [shadow_trial(1)]
    assert tally == ReadingTally(records=2, trials=1, damaged_bytes=len(framed(TRIAL_KIND, b"short")))


def test_all_files_are_read_in_their_order_and_damage_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number, data in enumerate([FILE_HEADER + PACKED[0], FILE_HEADER + PACKED[1][:-1], FILE_HEADER + PACKED[2]]):
        (tmp_path / f"traffic-{number:012d}-1.frys").write_bytes(data)
    (tmp_path / "notes.txt").write_text("mine")
    tally = ReadingTally()
    with caplog.at_level(logging.WARNING):
        assert [each.stream for each in read_history(tmp_path, tally)] == ["wf/0", "wf/2"]
    assert (tally.files, tally.records, tally.damaged_bytes) == (3, 2, len(PACKED[1]) - 1)
    (line,) = caplog.messages
    assert f"{len(PACKED[1]) - 1} bytes that belong to no sound record are left out" in line


def test_a_file_that_cannot_be_opened_is_told_and_one_that_is_gone_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "traffic-000000000001-1.frys").mkdir()
    (tmp_path / "traffic-000000000002-1.frys").symlink_to(tmp_path / "gone")
    (tmp_path / "traffic-000000000003-1.frys").write_bytes(FILE)
    tally = ReadingTally()
    assert list(read_history(tmp_path, tally)) == RECORDS
    assert (tally.files, tally.unreadable_files) == (1, 1)
    assert os.strerror(21) in caplog.text


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(read_history(tmp_path / "none", ReadingTally()))


def test_records_and_trials_come_in_the_order_in_which_they_were_written(tmp_path: Path) -> None:
    trials = [shadow_trial(1), shadow_trial(2)]
    written = [RECORDS[0], trials[0], RECORDS[1], trials[1]]
    packed = PACKED[0] + pack_trial(trials[0]) + PACKED[1] + pack_trial(trials[1])
    (tmp_path / "traffic-000000000001-1.frys").write_bytes(FILE_HEADER + packed)
    assert list(read_events(tmp_path, ReadingTally(), 100)) == written
    assert list(read_events(tmp_path, ReadingTally(), 2)) == written[-2:]


def test_the_newest_trials_are_found_in_the_newest_files(tmp_path: Path) -> None:
    files = HistoryFiles(tmp_path, 2**20)
    for begin in (0, 3, 6):
        files.append(b"".join([pack_trial(shadow_trial(number)) for number in range(begin, begin + 3)]))
        files.close()

    def streams(most: int) -> list[str]:
        return [trial.stream for trial in newest_trials(tmp_path, most)]

    assert streams(4) == ["wf/5", "wf/6", "wf/7", "wf/8"]
    assert streams(100) == [f"wf/{number}" for number in range(9)]
    assert newest_trials(tmp_path / "nowhere", 4) == []
    history_files(tmp_path)[-1].write_bytes(b"\xff" * 100)
    assert streams(2) == ["wf/4", "wf/5"]
