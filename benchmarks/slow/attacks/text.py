"""Attacks in JSON."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator

from benchmarks.slow.attacks.target import Target
from benchmarks.slow.frames import websocket
from benchmarks.slow.raw_client import RawClient

MIB = 1 << 20
_numbers = itertools.count()


def _greeted(target: Target) -> RawClient:
    client = RawClient(target.port, text=True)
    hello = {"message_type": "hello", "client_type": "agent", "payload": {"versions": [1]}}
    client.send(json.dumps(hello).encode())
    return client


def _said(stream: str, payload: object = None, **fields: object) -> bytes:
    said = {"message_type": "message", "stream": stream, "kind": "event", "ack": False, "payload": payload, **fields}
    return json.dumps(said).encode()


def json_aliases(target: Target) -> Iterator[None]:
    """Publish to 4,090 streams, and then 2,000 messages to the last of them."""
    client = _greeted(target)
    for number in range(4090):
        client.send(_said(f"json-aliases/s{number}"))
    data = websocket(_said("json-aliases/s4089"), opcode=1) * 2000
    while True:
        client.send_bytes(data)
        client.drop()
        yield


def json_garbage(target: Target) -> Iterator[None]:
    """Send text that is no JSON, is nested deeply, or names enormous numbers."""
    kinds = [
        b"[" * (4 * MIB),
        b'{"a":' * MIB,
        b"[" + b"1," * (2 * MIB) + b"1]",
        b'{"message_type":"message","stream":"json-garbage/a","payload":' + b"9" * MIB + b"}",
        b'{"message_type":"subscribe","payload":{"since":{' + b'"a":[1,1],' * 500_000 + b'"b":[1,1]}}}',
        b'"' + b"\\u0000" * MIB + b'"',
        b"[" + b"[]," * 87_000 + b"1]",
        b"[" + b"[]," * 16_000 + b"1," * 100_000 + b"1]",
    ]
    for kind in itertools.cycle(kinds):
        client = _greeted(target)
        try:
            client.send(kind)
        finally:
            client.close()
        yield


def json_garbage_flood(target: Target) -> Iterator[None]:
    """Send small texts that are refused, thousands at once."""
    client = _greeted(target)
    data = (websocket(b"{}", opcode=1) + websocket(b"[", opcode=1) + websocket(b"x" * 50, opcode=1)) * 3000
    while True:
        client.send_bytes(data)
        client.drop()
        yield


def json_tensors(target: Target) -> Iterator[None]:
    """Publish tensors of a million numbers as text."""
    client = _greeted(target)
    tensor = {"dtype": "float32", "shape": [400_000], "data": [0.123456789] * 400_000}
    data = _said("json-tensors/a", tensors={"": tensor})
    while True:
        client.send(data)
        client.drop()
        yield
