"""Plugin of pytest for runs in several processes: which modules go first, and the name of a test that ends its process.

``make test`` has a worker for each core (pytest-xdist), and each module runs in one of them.
"""

from typing import Any, Final

import pytest
import xdist

FIRST: Final = "integration"
"""Folder whose modules take the longest: they go first, and short ones are left for whichever worker is done."""

ENDED: Final = pytest.StashKey[str]()


def pytest_collection_modifyitems(session: pytest.Session, items: list[pytest.Item]) -> None:
    """Put the modules that take the longest first, if there are workers."""
    if xdist.is_xdist_worker(session):
        items.sort(key=lambda item: FIRST not in item.path.parts)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object | None) -> None:
    """Once a worker has ended by itself, give the others no further module."""
    if error is not None:
        node.config.pluginmanager.getplugin("dsession").triggershutdown()


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem: str, sched: Any) -> None:
    """Remember the test within which a worker has ended."""
    sched.config.stash[ENDED] = crashitem


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Name that test in the last line, since a log is often cut to its end."""
    if test := config.stash.get(ENDED, None):
        config.get_terminal_writer().line(f"Ended: the worker that ran {test}; if it timed out, its tasks stand above")
