"""The defaults are those that the documentation names, and values that cannot be are refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from gateway.config import Settings
from gateway.errors import InvalidArgument


def test_a_gateway_is_private_unless_told_otherwise() -> None:
    assert Settings().host == "127.0.0.1"
    assert (Settings().port, Settings().admin_port) == (8765, 8766)


def test_settings_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]


def test_streams_are_kept_in_memory_or_in_a_file() -> None:
    assert Settings().store_path is None
    assert Settings(store="sqlite:a/b.db").store_path == Path("a/b.db")
    assert Settings(store="sqlite:~/b.db").store_path == Path.home() / "b.db"


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"store": "sqlite:"}, "neither memory nor sqlite:PATH"),
        ({"store": "sqlite::memory:"}, "'sqlite::memory:' is neither memory nor sqlite:PATH"),
        ({"store": "sqlite:~nobody-here/a.db"}, "store 'sqlite:~nobody-here/a.db': "),
        ({"store": "redis:x"}, "'redis:x' is neither memory nor sqlite:PATH"),
        ({"port": 65536}, "port 65536 is not from 0 to 65535"),
        ({"admin_port": -1}, "admin_port -1"),
        ({"worker_threads": 0}, "worker_threads 0"),
    ],
)
def test_a_value_that_cannot_be_is_refused(wrong: dict[str, object], problem: str) -> None:
    with pytest.raises(InvalidArgument, match=problem):
        Settings(**wrong)  # type: ignore[arg-type]
