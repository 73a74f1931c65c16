"""A test that hangs ends the run, which tells what its tasks wait for and names it in the last line."""

from pathlib import Path

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


def test_what_hangs_is_named_last_with_what_it_waits_for(tmp_path: Path) -> None:
    report = run_pytest(tmp_path, HANGING, "-p", "tests.hangs", "--timeout=1")
    assert report.splitlines()[-1].startswith("Timeout: test_inner.py::test_hanging")
    assert "\nwaiting\n" in report
    assert "in wait\n    await asyncio.Event().wait()" in report
