"""Ground that all tests share: event loops, the examples of hypothesis, and objects that no collection visits."""

import asyncio
import gc
import os
import signal
from collections.abc import Callable

import pytest
import uvloop
from hypothesis import settings

pytest_plugins = ["tests.hangs", "tests.leaks", "tests.workers"]

# A red run in CI tells of the change, not of luck, and a busy machine is no failure: no example has a deadline.
settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# Python 3.12 and later warn of a fork while other threads run, also in the programs of tests that fork to show that the
# child leaves its parent alone, and that check that nothing is told.
os.environ.setdefault("PYTHONWARNINGS", "ignore:This process:DeprecationWarning")

# Tests that are started by nohup or `&` ignore these signals, and so would all processes that they start. A handler,
# even one that does nothing, is reset in these.
for ignored in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(ignored) is signal.SIG_IGN:
        signal.signal(ignored, lambda number, frame: None)


def pytest_collection_finish() -> None:
    """Spare the objects that exist before the first test: tests that collect garbage are not to visit them all."""
    spare_objects()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Spare also what the tests of a module leave for good, once its fixtures are finalized."""
    if nextitem is not None and nextitem.path != item.path:
        spare_objects()


def spare_objects() -> None:
    """Have later collections skip all objects that exist now: a million at the end of a run, 0.6 s of each one."""
    gc.collect()
    gc.freeze()


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The gateway runs on uvloop, so do its tests; the SDK also runs on its user's loop, so its own tests take both."""
    if config.rootpath / "tests" / "client" in item.path.parents:
        return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}
