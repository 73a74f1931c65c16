"""Trial of settings: real clients of a real gateway find what no check of a value does."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.app import Gateway
from gateway.cli.trial import try_settings
from gateway.config import Settings
from gateway.config.file import settings_of
from gateway.connections.core_settings import CoreSettings
from gateway.errors import InvalidArgument, StoreFailed
from gateway.protocol.limits import Limits
from gateway.security.settings import SecuritySettings
from gateway.streams.sqlite.file_format import APPLICATION_ID, FORMAT_VERSION
from gateway.testing import running_gateway_process
from tests.security.tokens import Issuer

STREAMS: list[dict[str, Any]] = [
    {"pattern": "tasks/**", "kind": "collaboration"},
    {"pattern": "wf/*/field", "schema": {"tensors": {"w": {"dtype": "float32", "shape": [3, "*"]}}}},
    {"pattern": "one/stream", "kind": "event", "durability": "os", "history": {"max_messages": 0}},
    {"pattern": "**", "kind": "control"},
]


async def test_the_defaults_work() -> None:
    await try_settings(Settings())


async def test_rules_and_low_limits_are_a_choice(tmp_path: Path) -> None:
    limits = {"max_streams": 1, "max_aliases": 1, "max_subscriptions": 1, "max_views": 0, "max_message_bytes": 30}
    tables = {"streams": STREAMS, "limits": limits, "store": f"sqlite:{tmp_path}/streams.db", "max_connections": 1}
    await try_settings(settings_of(tables, "frys.toml"))
    assert os.listdir(tmp_path) == []


async def test_the_setting_whose_default_cures_it_is_named() -> None:
    # Another changed setting is not to blame.
    insecure = SecuritySettings(insecure=True)
    with pytest.raises(InvalidArgument, match=r"^with host = '192\.0\.2\.1' the start of a gateway fails: "):
        await try_settings(Settings(host="192.0.2.1", security=insecure, core=CoreSettings(max_connections=7)))


async def test_a_rule_for_tensors_of_gigabytes_is_not_tried() -> None:
    rule = {"pattern": "a/*", "schema": {"dtype": "float64", "shape": [2**28]}}
    await try_settings(settings_of({"streams": [rule]}, "frys.toml"))


async def test_a_frame_too_small_for_a_chunk_is_no_mistake() -> None:
    await try_settings(Settings(core=CoreSettings(limits=Limits(max_frame_bytes=100_000))))


async def test_a_bound_of_one_command_is_no_mistake() -> None:
    """Each publish waits until the command before it is acknowledged."""
    await try_settings(settings_of({"consumers": {"max_pending_commands": 1, "hold_bytes": 0}}, "frys.toml"))


async def test_small_chunks_and_messages_are_no_mistake() -> None:
    limits = {"chunk_bytes": 4096, "max_message_bytes": 2000}
    await try_settings(settings_of({"limits": limits}, "frys.toml"))


async def test_a_pattern_of_many_segments_has_an_example() -> None:
    await try_settings(settings_of({"streams": [{"pattern": "a/" + "*/" * 60 + "b"}]}, "frys.toml"))


def foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE numbers (number INTEGER)")


def of_another_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version={FORMAT_VERSION + 1}")


def with_two_names(path: Path) -> None:
    path.touch()
    path.with_name("other.db").hardlink_to(path)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda path: path.parent.rmdir(), "does not exist: create it"),
        (Path.mkdir, "is a directory: name a file"),
        (os.mkfifo, "is no regular file: name a file"),
        (lambda path: path.write_bytes(b"text" * 100), "not a database"),
        (lambda path: path.write_bytes(b"SQLite format 3"), "not a database"),
        (foreign, "database of another program"),
        (of_another_version, "is of version 2, this gateway reads version 1"),
        (with_two_names, "has 2 names"),
        (lambda path: path.with_name("streams.db-wal").write_bytes(b"log"), "is empty, but"),
    ],
    ids=["folder", "directory", "pipe", "text", "short", "foreign", "version", "links", "log"],
)
async def test_a_store_that_cannot_be_used(make: Callable[[Path], object], problem: str, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "streams.db"
    path.parent.mkdir()
    make(path)
    settings = Settings(store=f"sqlite:{path}", admin_port=None)
    with pytest.raises(InvalidArgument, match=problem):
        await try_settings(settings)
    # A gateway says the same.
    with pytest.raises(StoreFailed, match=problem):
        Gateway(settings)


async def test_a_store_that_is_in_use_is_good(tmp_path: Path) -> None:
    settings = Settings(store=f"sqlite:{tmp_path}/streams.db", admin_port=None)
    await try_settings(settings)
    assert os.listdir(tmp_path) == []
    with running_gateway_process("--store", settings.store):
        await try_settings(settings)
    await try_settings(settings)


async def test_the_log_is_as_before(caplog: pytest.LogCaptureFixture) -> None:
    await try_settings(Settings())
    assert not caplog.records
    logging.getLogger("gateway").warning("heard")
    assert [record.message for record in caplog.records] == ["heard"]


async def test_keys_are_read_and_do_not_keep_the_clients_of_the_trial_out(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path / "keys.json")
    await try_settings(Settings(security=issuer.settings))
    issuer.path.write_text("{}")
    with pytest.raises(InvalidArgument, match="has no keys"):
        await try_settings(Settings(security=issuer.settings))
