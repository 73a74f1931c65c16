"""Trial of settings: real clients of a real gateway find what no check of a value does."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.trial import try_settings
from gateway.config import Settings
from gateway.config.file import settings_of
from gateway.connections.core import CoreSettings
from gateway.errors import InvalidArgument
from gateway.protocol.limits import Limits

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
    with pytest.raises(InvalidArgument, match=r"^with host = '192\.0\.2\.1' the start of a gateway fails: "):
        await try_settings(Settings(host="192.0.2.1", core=CoreSettings(max_connections=7)))


async def test_a_rule_for_tensors_of_gigabytes_is_not_tried() -> None:
    rule = {"pattern": "a/*", "schema": {"dtype": "float64", "shape": [2**28]}}
    await try_settings(settings_of({"streams": [rule]}, "frys.toml"))


async def test_a_frame_too_small_for_a_chunk_is_no_mistake() -> None:
    await try_settings(Settings(core=CoreSettings(limits=Limits(max_frame_bytes=100_000))))


@pytest.mark.parametrize("path", ["nowhere/streams.db", "folder"])
async def test_a_store_that_cannot_be_used(path: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InvalidArgument, match=r"does not exist: create it|not a file that this user may write"):
        await try_settings(Settings(store=f"sqlite:{tmp_path}/{path}"))


async def test_the_log_is_as_before(caplog: pytest.LogCaptureFixture) -> None:
    await try_settings(Settings())
    assert not caplog.records
    logging.getLogger("gateway").warning("heard")
    assert [record.message for record in caplog.records] == ["heard"]
