"""Log ring: the last lines, whatever is logged, and the level as it was when it is over."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gateway.admin.log_ring import LINES, MAX_CHARS, LogRing

LOG = logging.getLogger("gateway.tests.ring")


@pytest.fixture
def ring() -> Iterator[LogRing]:
    ring = LogRing()
    ring.attach()
    yield ring
    ring.detach()


def test_lines_have_numbers_and_none_comes_twice(ring: LogRing) -> None:
    LOG.warning("%d of %s", 3, "wf/a")
    LOG.error("second")
    first, second = ring.since(0)
    assert (first.seq, first.level, first.logger, first.text) == (1, logging.WARNING, LOG.name, "3 of wf/a")
    assert ring.since(1) == [second]
    assert ring.since(2) == ring.since(99) == []


def test_the_last_lines_are_kept_and_older_ones_forgotten(ring: LogRing) -> None:
    for number in range(LINES + 5):
        LOG.warning("line %d", number)
    kept = ring.since(0)
    assert (len(kept), kept[0].seq, kept[-1].text) == (LINES, 6, f"line {LINES + 4}")


def test_a_long_line_keeps_its_beginning_and_its_end(ring: LogRing) -> None:
    LOG.warning("begin%send", "x" * 100_000)
    try:
        raise ValueError("the cause")
    except ValueError:
        LOG.exception("failed")
    cut, failed = ring.since(0)
    assert len(cut.text) <= MAX_CHARS
    assert (cut.text[:6], cut.text[-4:]) == ("beginx", "xend")
    assert failed.text.startswith("failed\nTraceback")
    assert failed.text.endswith("ValueError: the cause")


def test_a_line_whose_arguments_do_not_fit_is_kept_as_such(ring: LogRing) -> None:
    ring.handle(logging.LogRecord(LOG.name, logging.WARNING, __file__, 1, "%d bytes", ("many",), None))
    (line,) = ring.since(0)
    assert line.text == "%d bytes"


def test_lines_of_other_programs_are_not_kept(ring: LogRing) -> None:
    logging.getLogger("trainer").warning("not ours")
    assert ring.since(0) == []


def test_a_program_that_has_not_set_logging_up_still_gets_warnings_on_stderr() -> None:
    program = """
import logging
from gateway.admin.log_ring import LogRing
rings = [LogRing(), LogRing()]
for ring in rings:
    ring.attach()
logging.getLogger("gateway.a").warning("without a handler")
logging.getLogger("gateway.a").info("not this one")
logging.basicConfig()
logging.getLogger("gateway.a").warning("with one")
assert [len(ring.since(0)) for ring in rings] == [2, 2]
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == "without a handler\nWARNING:gateway.a:with one\n"


def test_the_level_is_taken_back_at_the_end() -> None:
    before = logging.getLogger("gateway").level
    ring = LogRing()
    ring.attach()
    LOG.debug("not yet")
    ring.log_level = logging.DEBUG
    LOG.debug("now")
    ring.log_level = logging.ERROR
    LOG.warning("no more")
    assert (ring.log_level, [line.text for line in ring.since(0)]) == (logging.ERROR, ["now"])
    ring.detach()
    assert logging.getLogger("gateway").level == before
    LOG.error("detached")
    assert len(ring.since(0)) == 1
