"""Writer of a traffic history: records arrive in pieces of any size, and its process ends with its input only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.optimizer.history.files import HistoryFiles
from gateway.optimizer.history.layout import pack_record
from gateway.optimizer.history.reading import ReadingTally, read_history
from gateway.optimizer.history.writer import REPORT, HistoryWriter, whole_records
from tests.optimizer.history.records import record

RECORDS = [record(number) for number in range(6)]
STREAM = b"".join(map(pack_record, RECORDS))
COMMAND = [sys.executable, "-c", "from gateway.optimizer.history.writer import main; main()"]
SYSTEM_ERRNO_OF_A_FILE_IN_THE_WAY = 17


class KeptFiles(HistoryFiles):
    """Files in memory."""

    def __init__(self) -> None:
        super().__init__(Path("none"), 8)
        self.data = b""

    def append(self, records: bytes) -> None:
        count, size = whole_records(records)
        assert count
        assert size == len(records)
        self.data += records


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_records_are_written_whole_however_they_arrive(cuts: list[int]) -> None:
    files = KeptFiles()
    writer = HistoryWriter(files)
    places = [0, *sorted(cuts), len(STREAM)]
    for begin, end in pairwise(places):
        writer.take(STREAM[begin:end])
    assert files.data == STREAM
    assert REPORT.unpack(writer.report) == (len(RECORDS), 0, 0, 0)


def test_records_that_cannot_be_written_are_counted_until_they_can(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.write_text("in the way")
    files = HistoryFiles(place, 10**6)
    writer = HistoryWriter(files)
    writer.take(STREAM)
    assert REPORT.unpack(writer.report) == (0, 6, 0, SYSTEM_ERRNO_OF_A_FILE_IN_THE_WAY)
    place.unlink()
    writer.take(STREAM)
    assert REPORT.unpack(writer.report) == (6, 6, files.held_bytes, 0)
    files.close()


def test_the_process_ignores_signals_to_its_group_and_ends_with_its_input(tmp_path: Path) -> None:
    with subprocess.Popen([*COMMAND, tmp_path, "1000000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(STREAM[:500])
        process.stdin.flush()
        first = REPORT.unpack(process.stdout.read(REPORT.size))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process.send_signal(number)
        process.stdin.write(STREAM[500:])
        process.stdin.close()
        written = [REPORT.unpack(process.stdout.read(REPORT.size))[0]]
        assert written[-1] <= len(RECORDS)
        assert process.wait() == 0
    assert first[0] == whole_records(STREAM[:500])[0]
    assert list(read_history(tmp_path, ReadingTally())) == RECORDS


def test_the_process_writes_also_if_nobody_reads_its_reports(tmp_path: Path) -> None:
    reports, full = os.pipe()
    os.set_blocking(full, False)
    with suppress(BlockingIOError):
        while os.write(full, bytes(4096)):
            pass
    os.set_blocking(full, True)
    with subprocess.Popen([*COMMAND, tmp_path, "1000000"], stdin=subprocess.PIPE, stdout=full) as process:
        try:
            process.communicate(STREAM, timeout=30)
        finally:
            process.kill()
    assert process.returncode == 0
    os.close(reports)
    os.close(full)
    assert list(read_history(tmp_path, ReadingTally())) == RECORDS


def test_the_process_does_not_load_what_it_does_not_need() -> None:
    program = "import sys, gateway.optimizer.history.writer; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"numpy", "asyncio", "gateway.connections", "sklearn"} & set(ended.stdout.split())


def test_the_process_tidies_up_at_intervals_while_nothing_comes() -> None:
    program = (
        "from pathlib import Path; from gateway.optimizer.history import files, writer; "
        "idle = writer.HistoryWriter(files.HistoryFiles(Path('none'), 8)); "
        "writer.serve(idle, lambda: print('tidied', flush=True), 0.01)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert [process.stdout.read(7 + REPORT.size)[:7] for _ in range(2)] == [b"tidied\n"] * 2
        process.stdin.close()
        assert process.wait() == 0
