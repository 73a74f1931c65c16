"""Invariant: bytes that the other side takes before it takes a PING are progress; nothing else is."""

import socket
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from gateway.client.session.tcp_progress import TcpProgress, TcpState

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells it")

MUCH = bytes(1 << 24)
MARGIN = 1 << 20
PING = b"12345678"


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A sender that does not block, and a receiver, over TCP."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        sender = socket.create_connection(server.getsockname())
        receiver, _ = server.accept()
        with closing(sender), closing(receiver):
            sender.setblocking(False)
            yield sender, receiver


def fill(sender: socket.socket) -> int:
    """Send until the system takes no more; return the bytes that it has taken."""
    taken = 0
    try:
        while True:
            taken += sender.send(MUCH)
    except BlockingIOError:
        return taken


def until_taken(sender: socket.socket, nbytes: int) -> None:
    """Wait until the system of the receiver has said that it has so many bytes."""
    while (state := TcpState.of(sender)) is not None and state.acknowledged_bytes < nbytes:
        pass


def test_a_reader_that_takes_bytes_before_a_ping_is_progress_and_one_that_stands_still_is_none(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    sender, receiver = ends
    progress = TcpProgress()
    assert not progress.made(sender)
    sent = fill(sender)
    progress.asked(sender, len(PING))
    progress.made(sender)
    assert not progress.made(sender)  # the receiver stands still
    received = 0
    while received < sent - MARGIN:
        received += len(receiver.recv(MARGIN))
    until_taken(sender, received)
    assert progress.made(sender)
    assert not progress.made(sender)


def test_bytes_that_the_system_of_a_silent_peer_takes_behind_a_ping_are_no_sign_of_its_life(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    sender, _ = ends
    progress = TcpProgress()
    for beats in range(1, 4):
        sender.send(PING)
        progress.asked(sender, 0)
        until_taken(sender, beats * (len(PING) + 100) - 100)
        assert not progress.made(sender)
        sender.send(bytes(100))
        until_taken(sender, beats * (len(PING) + 100))
        assert not progress.made(sender)


def test_a_socket_that_is_gone_makes_none(ends: tuple[socket.socket, socket.socket]) -> None:
    sender, _ = ends
    sender.close()
    progress = TcpProgress()
    for gone in (sender, None):
        progress.asked(gone, 100)
        assert not progress.made(gone)
