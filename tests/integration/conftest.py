"""What the clients of the tests have met."""

import asyncio

import pytest

from gateway.client.sending.outbound_message import OutboundMessage
from gateway.client.sending.send_queue import SendQueue
from gateway.errors import RequestRefused


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set when the gateway has refused a message for now."""
    event = asyncio.Event()
    postpone = SendQueue.postpone

    def noted(queue: SendQueue, messages: list[OutboundMessage], refusal: RequestRefused) -> None:
        event.set()
        postpone(queue, messages, refusal)

    monkeypatch.setattr(SendQueue, "postpone", noted)
    return event
