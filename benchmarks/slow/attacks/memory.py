"""Attacks on memory: much that is kept for few bytes, or for a client that does not read."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator

from benchmarks.slow.attacks.target import Target
from benchmarks.slow.frames import chunk, large_head, message, open_stream, subscribe, websocket
from benchmarks.slow.raw_client import RawClient
from gateway.protocol.wire import END_FRAME, Opcode

MIB = 1 << 20
_numbers = itertools.count()


def unread_pongs(target: Target) -> Iterator[None]:
    """Send WebSocket pings, and read none of their pongs."""
    data = websocket(b"x" * 125, opcode=9) * 8000
    client = RawClient(target.port, reads=False, receive_bytes=4096)
    while True:
        client.send_bytes(data)
        yield


def unread_answers(target: Target) -> Iterator[None]:
    """Subscribe again and again, and read no answer."""
    client = RawClient(target.port, reads=False, receive_bytes=4096)
    for number in itertools.count(1):
        client.send(*(subscribe(number, f"unread-answers/{'x' * 200}") for _ in range(1000)))
        yield


def long_agents(target: Target) -> Iterator[None]:
    """Connect 40 clients whose `agent` has 8 MiB."""
    while True:
        clients = [RawClient(target.port, agent="x" * (8 * MIB - 400)) for _ in range(40)]
        yield
        for client in clients:
            client.close()


def views(target: Target) -> Iterator[None]:
    """Ask for 200 views of a state of 16 MB, each of nearly all of it, and read none."""
    publisher = RawClient(target.port, max_message_bytes=64 * MIB)
    size, chunk_bytes = 16 * MIB, MIB
    publisher.send(open_stream(1, "views/state"), large_head(1, 1, 1, chunk_bytes, size))
    for index in range(size // chunk_bytes):
        publisher.send(chunk(1, index, os.urandom(chunk_bytes)))
    publisher.send(_end(1))
    publisher.settle()
    while True:
        client = RawClient(target.port, reads=False, receive_bytes=4096)
        client.send(*(subscribe(n, "views/state", view={"slice": [[n, None, None]]}) for n in range(1, 201)))
        time.sleep(1.0)
        yield
        client.close()


def views_of_many(target: Target) -> Iterator[None]:
    """Ask for 20 views of each of 500 states that change, and read none."""
    publisher = RawClient(target.port)
    count, sequence = 500, 0
    publisher.send(*(open_stream(number, f"views-of-many/s{number}") for number in range(count)))
    client = RawClient(target.port, reads=False, receive_bytes=4096)
    client.send(*(subscribe(n, "views-of-many/**", view={"slice": [[n, None, None]]}) for n in range(1, 21)))
    while True:
        sequence += 1
        publisher.send(*(message(number, sequence, bytes(4096)) for number in range(count)))
        publisher.settle()
        yield


def unfinished_uploads(target: Target) -> Iterator[None]:
    """Begin 16 uploads of 64 MB, send 8 MB of each, and leave."""
    data = os.urandom(MIB)
    while True:
        client = RawClient(target.port, client_id=f"unfinished-{next(_numbers)}")
        for number in range(1, 17):
            client.send(open_stream(number, f"unfinished/s{number}"), large_head(number, 1, number, MIB, 64 * MIB))
            for index in range(8):
                client.send(chunk(number, index, data))
        client.settle()
        yield
        client.close()


def lagging_events(target: Target) -> Iterator[None]:
    """Publish events to 20 of one's own readers that read nothing."""
    readers = [RawClient(target.port, reads=False, receive_bytes=4096) for _ in range(20)]
    for reader in readers:
        reader.send(subscribe(1, "lagging-events/**"))
    publisher = RawClient(target.port)
    publisher.send(*(open_stream(number, f"lagging-events/s{number}", "event") for number in range(100)))
    sequence = 0
    while True:
        sequence += 1
        publisher.send(*(message(number, sequence, bytes(10_000)) for number in range(100)))
        publisher.settle()
        yield


def _end(transfer: int) -> bytes:
    return END_FRAME.pack(END_FRAME.size, Opcode.END, 0, 0, transfer, 0, 0, 1)
