"""Plugin of pytest that tells coverage.py which test module runs, here and in the processes that it starts.

``make coverage`` loads it. Each process starts its own measurement (``COVERAGE_PROCESS_START``); lines that run while
pytest collects, which are imports, have the empty context.
"""

import os
import sys
import threading

import pytest
from coverage import Coverage


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Switch to the context of the module of the test that begins."""
    module = item.path.relative_to(item.config.rootpath).as_posix()
    if os.environ.get("COVERAGE_CONTEXT") == module:
        return
    os.environ["COVERAGE_CONTEXT"] = module
    measurement = Coverage.current()
    if measurement is None:
        raise pytest.UsageError("nothing measures: set COVERAGE_PROCESS_START, as `make coverage` does")
    if sys.gettrace() is None or threading.gettrace() is None:
        raise pytest.UsageError(
            f"a test before {module} has ended the measurement: it has to restore the trace function"
        )
    measurement.switch_context(module)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """End the measurement: what runs later belongs to no module, and a worker that is slow to end is killed."""
    if (measurement := Coverage.current()) is not None:
        measurement.stop()
        measurement.save()
