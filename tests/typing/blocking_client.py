"""Types that a program sees of ``gateway.client.sync``: checked by mypy, never run; see ``client.py`` beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import assert_type

import numpy as np

from gateway.client import ClientState, Counts, PresenceChange, PresenceMember, SubscriptionStats, TransmissionResult
from gateway.client.sync import (
    Client,
    Inbox,
    Message,
    RecordBatch,
    ReplyStream,
    Request,
    Subscription,
    connect,
)


def connecting() -> None:
    """Connect."""
    with connect("ws://127.0.0.1:8765", client_id="a") as client:
        assert_type(client, Client)
        assert_type(client.client_id, str)
        assert_type(client.state, ClientState)
        assert_type(client.authenticate("token"), float | None)
    connect("ws://127.0.0.1:8765", client_name="a")  # type: ignore[call-arg]


def publishing(client: Client) -> None:
    """Publish with and without acknowledgement."""
    assert_type(client.publish("wf/a", np.zeros(3), kind="state"), TransmissionResult)
    client.publish_nowait("wf/a", 1.0, headers={"step": 7})
    client.drain()
    client.publish(b"wf/a", 1)  # type: ignore[arg-type]
    client.publish("wf/a", 1, "state")  # type: ignore[call-arg]
    client.publish("wf/a", 1, colour="red")  # type: ignore[call-arg]


def subscribing(client: Client) -> None:
    """Receive messages and record batches."""
    subscription = client.subscribe("wf/*", since=3, auto_ack=False)
    assert_type(subscription, Subscription)
    with subscription as messages:
        assert_type(messages, Subscription)
        for message in messages:
            assert_type(message, Message)
            message.in_progress()
            message.ack()
            message.nack(7)
    assert_type(subscription.batches(), Iterator[RecordBatch])
    assert_type(subscription.stats, SubscriptionStats)
    assert_type(subscription.account, Mapping[str, Counts])
    assert_type(client.account(subscription), Mapping[str, Counts])
    client.subscribe("wf/*", since=1.5)  # type: ignore[arg-type]


def requesting(client: Client) -> None:
    """Ask others."""
    assert_type(client.request("agent:b", [1, 2], timeout_s=None), Message)
    with client.request_stream("group:g") as replies:
        assert_type(replies, ReplyStream)
        for part in replies:
            assert_type(part, Message)


def answering(client: Client) -> None:
    """Answer others."""
    with client.inbox() as requests:
        assert_type(requests, Inbox)
        for request in requests:
            assert_type(request, Request)
            assert_type(request.cancelled, bool)
            assert_type(request.wait_cancelled(1.0), bool)
            request.reply_partial(1, headers={"part": 1})
            request.reply(2)
            request.fail("no")


def attending(client: Client) -> None:
    """See who is there."""
    with client.presence("wf", metadata={}) as presence:
        assert_type(presence.members, dict[str, PresenceMember])
        assert_type(presence.update({"a": 1}), None)
        presence.set_awareness(None)
        for change in presence.changes():
            assert_type(change, PresenceChange)
