"""Settings of access control that cannot be meant are refused, with the values that can."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import InvalidArgument
from gateway.security.permissions import GrantedPatterns
from gateway.security.settings import SecuritySettings, TypeGrants


def test_no_token_is_asked_for_by_default() -> None:
    assert SecuritySettings().keys == ""


@pytest.mark.parametrize("keys", ["file:keys.json", "env:FRYS_KEYS", "file:C:/keys"])
def test_places_of_keys(keys: str) -> None:
    assert SecuritySettings(keys=keys).keys == keys


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"keys": "keys.json"}, "neither file:PATH nor env:NAME"),
        ({"keys": "file:"}, "neither"),
        ({"keys": "https://issuer/keys"}, "neither"),
        ({"keys": "file:a\0b"}, "neither"),
        ({"audience": ""}, "audience is empty"),
        ({"grants": TypeGrants(agent=GrantedPatterns())}, "grants need keys"),
        ({"revoked": "revoked.jsonl"}, "revoked needs keys"),
        ({"leeway_s": -1.0}, "leeway_s is -1: it takes 0 to 300"),
        ({"leeway_s": 301.0}, "leeway_s is 301"),
    ],
)
def test_values_that_cannot_be_meant(values: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidArgument, match=told):
        SecuritySettings(**values)
