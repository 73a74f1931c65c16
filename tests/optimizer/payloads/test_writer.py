"""Writer of stored payloads: a process that writes what comes in pieces of any size, and tidies up without anything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from gateway.optimizer.history.writer import REPORT
from gateway.optimizer.payloads.payload_files import PayloadFiles, payload_files, stored_payloads
from gateway.optimizer.payloads.writer import counted
from tests.optimizer.payloads.payloads import stored

COMMAND = [sys.executable, "-c", "from gateway.optimizer.payloads.writer import main; main()"]


def test_whole_ones_are_counted() -> None:
    data = stored(1).pack() + stored(2).pack()
    assert counted(data) == (2, len(data))
    assert counted(data[:-1]) == (1, len(stored(1).pack()))
    assert counted(b"") == (0, 0)


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
