"""Writer of stored payloads: a process that writes what comes in pieces of any size, and tidies up without anything."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.optimizer.history.writer import REPORT, HistoryWriter
from gateway.optimizer.payloads.payload_files import PayloadFiles, payload_files, stored_payloads
from gateway.optimizer.payloads.writer import first_of
from tests.optimizer.payloads.payloads import stored

COMMAND = [sys.executable, "-c", "from gateway.optimizer.payloads.writer import main; main()"]


def test_whole_ones_are_found_one_at_a_time() -> None:
    data = stored(1).pack() + stored(2).pack()
    assert first_of(data) == (1, len(stored(1).pack()))
    assert first_of(stored(1).pack()[:-1]) == first_of(b"") == (0, 0)


def test_of_some_that_come_together_only_those_have_failed_that_could_not_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    payloads, write = [stored(number, 100 * number) for number in range(1, 5)], os.write
    too_large = len(payloads[2].pack())

    def nearly_full(file: int, data: memoryview) -> int:
        if len(data) == too_large:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data)

    writer = HistoryWriter(PayloadFiles(tmp_path, 10**6, 60.0), first_of)
    monkeypatch.setattr(os, "write", nearly_full)
    writer.take(b"".join([each.pack() for each in payloads]))
    assert (writer.written, writer.failed, writer.error) == (3, 1, 0)
    assert list(stored_payloads(tmp_path, 10)) == [*payloads[:2], payloads[3]]


def test_the_process_writes_what_comes_and_removes_what_is_old_when_it_starts(tmp_path: Path) -> None:
    PayloadFiles(tmp_path, 10**6, 60.0).append(stored(7).pack())
    os.utime(payload_files(tmp_path)[0], (0, 0))
    payloads = [stored(number, 50_000, base=True) for number in range(3)]
    with subprocess.Popen(
        [*COMMAND, tmp_path, "1000000", "60.0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        out, _ = process.communicate(b"".join([each.pack() for each in payloads]))
        assert process.returncode == 0
    written, failed, held_bytes, error = REPORT.unpack(out[-REPORT.size :])
    assert (written, failed, error) == (3, 0, 0)
    assert held_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert list(stored_payloads(tmp_path, 10)) == payloads


def test_the_process_needs_neither_numpy_nor_the_rest_of_the_gateway() -> None:
    program = (
        "import sys; from gateway.optimizer.payloads import writer; "
        "print([name for name in sys.modules if name in ('numpy', 'gateway.protocol', 'gateway.connections')])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
