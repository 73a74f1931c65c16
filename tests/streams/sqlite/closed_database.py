"""Databases as a gateway has them that ends in order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.streams.sqlite.database import Database
from tests.streams.sqlite.still_machine import still_machine
from tests.streams.sqlite.streams import BOOT, NOW_NS


@contextmanager
def opened(path: Path) -> Iterator[Database]:
    """The database of a file, and at the end closed."""
    database = Database(path, still_machine(BOOT, NOW_NS))
    try:
        yield database
    finally:
        database.close()
