"""The defaults are those that the documentation names."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.config import Settings


def test_a_gateway_is_private_unless_told_otherwise() -> None:
    assert Settings().host == "127.0.0.1"
    assert (Settings().port, Settings().admin_port) == (8765, 8766)


def test_settings_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().port = 1  # type: ignore[misc]
