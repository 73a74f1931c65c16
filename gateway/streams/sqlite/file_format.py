"""File format: the tables of a store's file, and the checks before it is used."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from gateway.errors import StoreFailed
from gateway.streams.sqlite.failure import cannot_open
from gateway.streams.store_files import log_of, size_of

APPLICATION_ID: Final = int.from_bytes(b"FRYS", "big")
"""Number in the header of the file, so that the file of another program is not taken for a store."""

FORMAT_VERSION: Final = 1
"""Version of the tables; a file with another version is not changed."""

MAGIC: Final = b"SQLite format 3\0"
"""First bytes of a database."""

HEADER_BYTES: Final = 100
"""Length of the header of a database (https://www.sqlite.org/fileformat.html#the_database_header)."""

BUSY_TIMEOUT_S: Final = 5.0
"""Time to wait for another process that reads the file, such as a backup."""

TABLES: Final = """
CREATE TABLE gateway (
    -- One row: the start of the machine at which the file was opened last, and whether it was closed since.
    boot_id TEXT NOT NULL,
    closed INTEGER NOT NULL
);
CREATE TABLE streams (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    durability TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    -- At least this; more if there are messages beyond it.
    next_offset INTEGER NOT NULL,
    -- Its declared schema, as JSON; NULL: any message fits.
    schema TEXT
);
CREATE TABLE messages (
    stream INTEGER NOT NULL,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    -- Bytes, of a large message those of its chunks.
    size INTEGER NOT NULL,
    -- By the store's clock.
    stored_ns INTEGER NOT NULL,
    -- (first offset, count, producer, first sequence) of each publish, where producers count: four u64 each.
    origins BLOB,
    -- Index at which the last frame starts, and the number of messages in it.
    last_at INTEGER NOT NULL,
    last_count INTEGER NOT NULL,
    -- Frames as they are delivered, or the id of a large message.
    frames BLOB,
    large INTEGER,
    PRIMARY KEY (stream, first)
);
CREATE TABLE consumers (
    stream INTEGER NOT NULL,
    client_id TEXT NOT NULL,
    -- The first offset that the client has not settled,
    next_offset INTEGER NOT NULL,
    -- and settled ranges beyond it: (first, last) of each, two u64.
    beyond BLOB NOT NULL,
    PRIMARY KEY (stream, client_id)
) WITHOUT ROWID;
CREATE TABLE large_messages (
    id INTEGER PRIMARY KEY,
    publisher INTEGER NOT NULL,
    timestamp_ns INTEGER NOT NULL,
    end_timestamp_ns INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    chunk_bytes INTEGER NOT NULL,
    payload_bytes INTEGER NOT NULL,
    checksum INTEGER,
    meta BLOB NOT NULL,
    -- An extension block.
    extensions BLOB
);
CREATE TABLE chunks (
    large INTEGER NOT NULL,
    chunk INTEGER NOT NULL,
    -- An encoding block; NULL: plain.
    encoding BLOB,
    data BLOB NOT NULL,
    PRIMARY KEY (large, chunk)
);
"""

CLOCKS: Final = """
CREATE TABLE IF NOT EXISTS clocks (
    -- A row for each gateway since the last start of the machine whose clock differed from that of the one before it.
    boot_id TEXT NOT NULL,
    -- Store's time when that gateway opened the file,
    since_ns INTEGER NOT NULL,
    -- and the last one that was noted.
    last_ns INTEGER NOT NULL,
    -- Store's time less the time for which the machine has run,
    store_offset_ns INTEGER NOT NULL,
    -- and the gateway's Unix time less the time since the machine was started.
    unix_offset_ns INTEGER NOT NULL
)
"""
"""Table that files of older gateways do not have."""

ENDED: Final = """
CREATE TABLE IF NOT EXISTS ended (
    -- One row, once a stream has ended:
    one INTEGER PRIMARY KEY CHECK (one = 1),
    -- the highest id and the highest epoch of such streams.
    last_id INTEGER NOT NULL,
    last_epoch INTEGER NOT NULL
)
"""
"""Another one."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the file for writing; tables are created in a new one.

    Raises:
        StoreFailed: the file cannot be opened, or is not a store of this version.
    """
    check_log(path)
    try:
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise cannot_open(path, error) from error
    try:
        _check(connection, path)
        connection.execute(CLOCKS)
        connection.execute(ENDED)
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            problem = f"store {path} cannot be used: its file system does not support a write-ahead log"
            raise StoreFailed(f"{problem}: name a file on a local disk")
    except sqlite3.Error as error:
        connection.close()
        raise cannot_open(path, error) from error
    except StoreFailed:
        connection.close()
        raise
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open a second connection to the file, which only reads; for one thread at a time."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )


def check_log(path: Path) -> None:
    """Check that a log has not lost its file: SQLite deletes the log of an empty file.

    Raises:
        StoreFailed: there is a log, and its file is missing or empty.
    """
    log_path = log_of(path)
    if size_of(log_path) and not size_of(path):
        problem = f"store {path} is empty, but {log_path} has messages of a file that was moved, removed or truncated"
        raise StoreFailed(f"{problem}: put that file back, or move the log away")


def check_header(path: Path) -> None:
    """Check the first bytes of a file that may be in use by a gateway in another process, or not exist yet.

    Raises:
        StoreFailed: it is not a store of this version.
        OSError: it cannot be read.
    """
    if not os.path.exists(path):
        return
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
    if not header:
        return
    if len(header) < HEADER_BYTES or not header.startswith(MAGIC):
        raise cannot_open(path, ValueError("file is not a database"))
    schema, version, application_id = [int.from_bytes(header[at : at + 4], "big") for at in (40, 60, 68)]
    if schema or version or application_id:
        _check_ids(path, version, application_id)


def _check(connection: sqlite3.Connection, path: Path) -> None:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if not tables and not application_id and not version:
        pragmas = f"PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={FORMAT_VERSION};"
        connection.executescript(f"BEGIN; {TABLES} {pragmas} COMMIT;")
        return
    _check_ids(path, version, application_id)


def _check_ids(path: Path, version: int, application_id: int) -> None:
    if application_id != APPLICATION_ID:
        raise StoreFailed(f"{path} is the database of another program: name a file of its own for the store")
    if version != FORMAT_VERSION:
        problem = f"store {path} is of version {version}, this gateway reads version {FORMAT_VERSION}"
        raise StoreFailed(f"{problem}: use the gateway that wrote it, or name another file")
