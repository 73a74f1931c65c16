"""Attacks on the admin port."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

from benchmarks.slow.attacks.target import Target
from benchmarks.slow.frames import message, open_stream
from benchmarks.slow.raw_client import RawClient, connected

KEPT = 1000
"""Connections at once."""
_HOST = b"host: x\r\n"


def half_requests(target: Target) -> Iterator[None]:
    """Keep 1,000 connections that have sent half a request, and replace those that the gateway closes."""
    clients: list[socket.socket] = []
    while True:
        while len(clients) < KEPT:
            client = connected(target.admin_port)
            clients.append(client)
            with suppress(OSError):
                client.sendall(b"GET / HTTP/1.1\r\n")
                client.setblocking(False)
        still = []
        for client in clients:
            try:
                closed = not client.recv(4096)
            except BlockingIOError:
                closed = False
            except OSError:
                closed = True
            if closed:
                client.close()
            else:
                still.append(client)
        clients = still
        time.sleep(0.01)
        yield


def slow_bodies(target: Target) -> Iterator[None]:
    """Keep 300 uploads that have sent a header, and send a byte of each now and then."""
    header = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '|u1', 'fortran_order': False, 'shape': (60000000,)}".ljust(118)
    head = b"PUT /api/v1/streams/slow-bodies/s%d HTTP/1.1\r\n" + _HOST + b"content-length: 60000128\r\n\r\n" + header
    clients = []
    for number in range(300):
        clients.append(connected(target.admin_port))
        with suppress(OSError):
            clients[-1].sendall(head % number)
    while True:
        for client in clients:
            with suppress(OSError):
                client.send(b"x")
        time.sleep(0.1)
        yield


def tiny_chunks(target: Target) -> Iterator[None]:
    """Upload in chunks of one byte."""
    header = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '|u1', 'fortran_order': False, 'shape': (60000000,)}".ljust(118)
    head = b"PUT /api/v1/streams/tiny-chunks/a HTTP/1.1\r\n" + _HOST + b"transfer-encoding: chunked\r\n\r\n"
    client = connected(target.admin_port)
    client.sendall(head + b"80\r\n" + header + b"\r\n")
    data = b"1\r\nx\r\n" * 20_000
    while True:
        client.sendall(data)
        yield


def long_heads(target: Target) -> Iterator[None]:
    """Send requests with as many headers as there may be, and read the answers."""
    request = b"GET / HTTP/1.1\r\n" + _HOST + b"a:\r\n" * 127 + b"\r\n"
    while True:
        client = connected(target.admin_port)
        client.sendall(request * 10)
        for _ in range(10):
            client.recv(1 << 16)
        client.close()
        yield


def many_requests(target: Target) -> Iterator[None]:
    """Ask 50 connections for metrics and lists of 5,000 streams, and read no answer."""
    publisher = RawClient(target.port)
    for first in range(0, 4000, 100):
        publisher.send(*(open_stream(number, f"many-requests/s{number}") for number in range(first, first + 100)))
        publisher.send(*(message(number, 1, b"12345678") for number in range(first, first + 100)))
    publisher.settle()
    paths = itertools.cycle([b"/metrics", b"/api/v1/streams?limit=1000", b"/api/v1/connections?limit=1000"])
    while True:
        clients = [connected(target.admin_port, receive_bytes=4096) for _ in range(50)]
        for client, path in zip(clients, paths, strict=False):
            with suppress(OSError):
                client.sendall((b"GET " + path + b" HTTP/1.1\r\n" + _HOST + b"\r\n") * 50)
        time.sleep(0.2)
        yield
        for client in clients:
            client.close()
