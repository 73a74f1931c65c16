"""Collector of garbage, left off while a test looks at what goes without it."""

from __future__ import annotations

import gc
import logging
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_off() -> Iterator[None]:
    """Collect once, and not again within the block."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def memory_traced() -> Iterator[None]:
    """Leave the collector off while a test traces memory, and the log, which keeps what it is told for the test."""
    logging.disable(logging.CRITICAL)
    try:
        with collector_off():
            yield
    finally:
        tracemalloc.stop()
        logging.disable(logging.NOTSET)
