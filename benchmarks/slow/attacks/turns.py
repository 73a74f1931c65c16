"""Attacks on the time of others: much work for few bytes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

from benchmarks.slow.attacks.target import Target
from benchmarks.slow.frames import (
    batch,
    control,
    frame,
    headed_message,
    message,
    open_stream,
    subscribe,
    websocket,
)
from benchmarks.slow.raw_client import RawClient, connected, handshake
from gateway.protocol.wire import Opcode

MIB = 1 << 20
UNKNOWN_OPCODE = 0xFF
_numbers = itertools.count()


def _streams(client: RawClient, prefix: str, count: int, kind: str = "event") -> None:
    """Open streams, with the aliases from 0 on, and publish a message to each."""
    for first in range(0, count, 100):
        numbers = range(first, min(first + 100, count))
        client.send(*(open_stream(number, f"{prefix}/s{number}", kind) for number in numbers))
        client.send(*(message(number, 1, b"12345678") for number in numbers))
    client.settle()


def tiny_frames(target: Target) -> Iterator[None]:
    """Send 8 MiB of frames of an unknown type in one message."""
    client = RawClient(target.port)
    data = frame(UNKNOWN_OPCODE) * MIB
    while True:
        client.send(data)
        client.settle()
        yield


def refused_frames(target: Target) -> Iterator[None]:
    """Send messages to streams that are not open, and answers that nobody asked for."""
    client = RawClient(target.port)
    data = (message(9999, 1, b"12345678") + message(7, 7, b"", opcode=Opcode.REPLY)) * 10_000
    while True:
        client.send(data)
        client.settle()
        yield


def long_headers(target: Target) -> Iterator[None]:
    """Publish messages with headers of 64 KiB that consist of empty lists, each in a WebSocket message of its own."""
    client = RawClient(target.port)
    client.send(open_stream(0, f"long-headers/{next(_numbers)}", "event"))
    headers = b'{"a":[' + b"[]," * 21_800 + b"1]}"
    for first in itertools.count(1, 20):
        client.send_bytes(b"".join(websocket(headed_message(0, first + number, headers)) for number in range(20)))
        client.settle()
        yield


def open_flood(target: Target) -> Iterator[None]:
    """Open 1,000 new streams in one message, each matched against 20,000 patterns of other connections."""
    watchers = [RawClient(target.port) for _ in range(20)]
    for number, watcher in enumerate(watchers):
        watcher.send(*(subscribe(each, f"wf{each}-{number}/*/x/*") for each in range(1024)))
        watcher.wait_for(Opcode.SUBSCRIBED, 1024)
    while True:
        client = RawClient(target.port)
        prefix = f"open-flood/r{next(_numbers)}"
        client.send(*(open_stream(number, f"{prefix}/n{number}", "event") for number in range(1000)))
        client.settle()
        client.close()
        yield


def backtracking_patterns(target: Target) -> Iterator[None]:
    """Match patterns of many wildcards against deep names, at SUBSCRIBE and at OPEN."""
    client = RawClient(target.port)
    patterns = [f"{'**/a/' * 20}b{number}" for number in range(500)]
    deep = "/".join("a" * 40)
    while True:
        round_number = next(_numbers)
        client.send(*(open_stream(number, f"{deep}/r{round_number}/n{number}") for number in range(50)))
        client.send(*(subscribe(number, pattern) for number, pattern in enumerate(patterns)))
        client.settle()
        client.send(*(control(Opcode.UNSUBSCRIBE, request=n, subscription=n) for n in range(len(patterns))))
        client.settle()
        client.close()
        client = RawClient(target.port)
        yield


def subscribe_all(target: Target) -> Iterator[None]:
    """Subscribe 256 times to all of 1,000 streams, in one message."""
    publisher = RawClient(target.port)
    _streams(publisher, "subscribe-all", 1000)
    data = b"".join(subscribe(number, "subscribe-all/**") for number in range(256))
    while True:
        client = RawClient(target.port)
        client.send(data)
        client.wait_for(Opcode.SUBSCRIBED, 256)
        client.close()
        yield


def subscription_churn(target: Target) -> Iterator[None]:
    """Subscribe to all of 2,000 streams, and leave them, again and again."""
    publisher, client = RawClient(target.port), RawClient(target.port)
    _streams(publisher, "churn", 2000)
    data = subscribe(1, "churn/**") + control(Opcode.UNSUBSCRIBE, request=1, subscription=1)
    while True:
        client.send(data * 100)
        client.wait_for(Opcode.UNSUBSCRIBED, 100)
        yield


def refresh_flood(target: Target) -> Iterator[None]:
    """Ask for the newest version of a state, 20,000 times in one message."""
    publisher, client = RawClient(target.port), RawClient(target.port)
    publisher.send(open_stream(1, "refresh-flood/state"), message(1, 1, bytes(1000)))
    publisher.settle()
    client.send(subscribe(1, "refresh-flood/state"))
    client.wait_for(Opcode.SUBSCRIBED)
    # Numbers of streams count from the first one of the gateway: one of these is the right one.
    data = b"".join(control(Opcode.REFRESH, stream=number) for number in range(4)) * 5000
    while True:
        client.send(data)
        client.settle()
        yield


def account_flood(target: Target) -> Iterator[None]:
    """Ask for the account of a subscription to 1,000 streams, 1,000 times in one message."""
    publisher, client = RawClient(target.port), RawClient(target.port)
    _streams(publisher, "account-flood", 1000)
    client.send(subscribe(1, "account-flood/**"))
    client.settle()
    data = b"".join(control(Opcode.ACCOUNT, request=number, subscription=1) for number in range(1000))
    while True:
        client.send(data)
        client.settle()
        yield


def since_maps(target: Target) -> Iterator[None]:
    """Subscribe with the positions of 100,000 streams that do not exist, in 6 MiB."""
    data = subscribe(
        1, "since-maps/**", since={f"since-maps/long-name-of-a-stream-{n}": [7, n] for n in range(100_000)}
    )
    while True:
        client = RawClient(target.port)
        client.send(data)
        client.settle()
        client.close()
        yield


def ask_flood(target: Target) -> Iterator[None]:
    """Send requests to a client that never answers, and withdraw them by leaving."""
    number = next(_numbers)
    replier = RawClient(target.port, client_id=f"ask-flood-{number}")
    while True:
        client = RawClient(target.port)
        client.send(open_stream(1, f"agent:ask-flood-{number}", "control"))
        client.send(*(message(1, each, bytes(100), opcode=Opcode.REQUEST) for each in range(1, 4097)))
        client.settle()
        client.close()
        replier.drop()
        yield


def large_batches(target: Target) -> Iterator[None]:
    """Publish a million records in one frame, and the most that are written as text, to a reader of text."""
    publisher, reader = RawClient(target.port), RawClient(target.port, text=True)
    hello = {"message_type": "hello", "client_type": "agent", "payload": {"versions": [1]}}
    wanted = {"message_type": "subscribe", "payload": {"request": 1, "subscription": 1, "pattern": "large-batches/*"}}
    reader.send(json.dumps(hello).encode())
    reader.send(json.dumps(wanted).encode())
    publisher.send(open_stream(1, "large-batches/events", "event"))
    publisher.settle()
    sequence = 1
    for count in itertools.cycle((MIB, 65_536, 60_000)):
        publisher.send(batch(1, sequence, count))
        sequence += count
        publisher.settle()
        reader.drop()
        yield


def connection_flood(target: Target) -> Iterator[None]:
    """Connect, say HELLO and leave, without a pause."""
    while True:
        RawClient(target.port).close()
        yield


def half_handshakes(target: Target) -> Iterator[None]:
    """Open 1,000 connections that never finish their handshake, and then others."""
    while True:
        clients = []
        for _ in range(1000):
            clients.append(connected(target.port))
            clients[-1].sendall(handshake("frys.v1")[:-4])
        for client in clients:
            client.close()
        yield


def fragments(target: Target) -> Iterator[None]:
    """Send a message in fragments of two bytes, and of none."""
    client = RawClient(target.port)
    client.send_bytes(websocket(b"xx", fin=False))
    data = (websocket(b"xx", opcode=0, fin=False) + websocket(b"", opcode=0, fin=False)) * 20_000
    while True:
        client.send_bytes(data)
        client.drop()
        yield


def pings(target: Target) -> Iterator[None]:
    """Send WebSocket pings, and read their pongs."""
    client = RawClient(target.port)
    data = websocket(b"x" * 8, opcode=9) * 20_000
    while True:
        client.send_bytes(data)
        client.drop()
        yield
