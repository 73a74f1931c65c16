"""A test that hangs ends the run, which tells what its tasks wait for and names it in the last line."""

from pathlib import Path

import pytest

from tests.inner_run import run_pytest

HANGING = """
import asyncio


async def test_quick():
    await asyncio.sleep(0)


async def wait():
    await asyncio.Event().wait()


async def test_hanging():
    print("waiting")
    await asyncio.create_task(wait())
"""


@pytest.mark.parametrize(
    ("processes", "last"), [(0, "Timeout: "), (2, "Ended: the worker that ran ")], ids=["one process", "workers"]
)
def test_what_hangs_is_named_last_with_what_it_waits_for(tmp_path: Path, processes: int, last: str) -> None:
    workers = ["-p", "tests.workers", f"-n{processes}", "--dist=loadfile", "--max-worker-restart=0"]
    report = run_pytest(tmp_path, HANGING, "-p", "tests.hangs", "--timeout=1", *workers)
    assert report.splitlines()[-1].startswith(f"{last}test_inner.py::test_hanging")
    assert "Timeout: test_inner.py::test_hanging did not end within 1 s\n" in report
    assert "\nwaiting\n" in report
    assert "in wait\n    await asyncio.Event().wait()" in report
