"""Invariant: bytes that wait while the other side takes others are progress; nothing else is."""

import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from gateway.client.session.tcp_progress import TcpProgress, TcpState

pytestmark = pytest.mark.skipif(not hasattr(socket, "TCP_INFO"), reason="the system has no TCP_INFO")

MUCH = bytes(1 << 24)


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


def test_a_reader_that_goes_on_is_progress_and_one_that_stands_still_is_none(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    sender, receiver = ends
    progress = TcpProgress()
    assert not progress.made(sender, 0)
    sent = fill(sender)
    progress.made(sender, 1)
    state = TcpState.of(sender)
    assert state is not None
    assert state.waiting
    assert not progress.made(sender, 1)  # the receiver stands still
    received = 0
    while received < sent - (1 << 20):
        received += len(receiver.recv(1 << 20))
    until_taken(sender, received)
    assert progress.made(sender, 1)
    assert not progress.made(sender, 1)


def test_bytes_that_the_system_of_a_silent_peer_takes_at_once_are_no_sign_of_its_life(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    sender, _ = ends
    progress = TcpProgress()
    progress.made(sender, 0)
    sender.send(b"PING")
    until_taken(sender, 4)
    assert not progress.made(sender, 0)


def test_a_socket_that_is_gone_makes_none(ends: tuple[socket.socket, socket.socket]) -> None:
    sender, _ = ends
    sender.close()
    assert not TcpProgress().made(sender, 1)
    assert not TcpProgress().made(None, 1)
