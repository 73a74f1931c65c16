"""Tests that the client makes presences; what they do is tested beside them."""

from __future__ import annotations

from gateway.app import Gateway
from gateway.client import Presence, connect


async def test_a_presence_is_made_and_sends_nothing_before_it_starts(gateway: Gateway) -> None:
    async with connect(gateway.url) as client:
        presence = client.presence("wf", metadata={"a": 1}, watch="count")
        assert isinstance(presence, Presence)
        assert (presence.scope, presence.count, presence.members) == ("wf", 0, {})
        await client.publish("wf/loss", 1.0)
        assert gateway.core.presence.get("wf") is None
