"""RunPage: runs joined are one run."""

from __future__ import annotations

from gateway.streams.run import Run
from gateway.streams.run_page import JOINED_RUN_BYTES, RunPage, joins
from tests.streams.frames import SOURCE, offsets_in, run_of


def test_joined_runs_are_one() -> None:
    runs = [run_of(3, [None, 4]), run_of(8, [None]), run_of(9, [None, None, 2])]
    page = RunPage(runs[0])
    for run in runs[1:]:
        page.add(run)
    joined = page.sealed()
    assert offsets_in(joined) == list(range(3, 13))
    assert (joined.first, joined.count, joined.size) == (3, 10, sum(run.size for run in runs))
    assert offsets_in(joined.newest()) == [11, 12]


def test_one_run_is_a_page_of_its_own_bytes() -> None:
    run = run_of(3, [None])
    assert RunPage(run).sealed().buffers == run.buffers
    assert RunPage(run).sealed().buffers[0] is not run.buffers[0]


def test_large_runs_and_those_in_several_buffers_are_not_joined() -> None:
    assert joins(run_of(0, [None]))
    assert not joins(Run(SOURCE, 0, 1, (bytes(JOINED_RUN_BYTES + 8),), JOINED_RUN_BYTES + 8, 0, 1))
    assert not joins(Run(SOURCE, 0, 1, (bytes(8), bytes(8)), 16, 0, 1))
