"""TCP_INFO is read where there is one; a reader that stands still shows in it, and elsewhere nothing is made up."""

import contextlib
import socket
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest

from gateway.connections.links.bottleneck import Bottleneck, bottleneck_of
from gateway.server.tcp_info import parse_tcp_info, read_tcp_info

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has TCP_INFO as it is read here")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection over loopback: of the sender, and of a reader with a small buffer."""
    with closing(socket.socket()) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        sender = socket.create_connection(listening.getsockname())
        reader, _ = listening.accept()
        with closing(sender), closing(reader):
            yield sender, reader


def test_nothing_is_told_of_a_socket_that_is_gone_or_is_no_tcp_socket() -> None:
    closed = socket.socket()
    closed.close()
    assert read_tcp_info(closed) is None
    assert read_tcp_info(None) is None
    one, other = socket.socketpair()
    with closing(one), closing(other):
        assert read_tcp_info(one) is None


def test_a_structure_of_an_older_kernel_says_nothing() -> None:
    assert parse_tcp_info(bytes(104)) is None


@pytest.mark.parametrize(
    ("length", "unacknowledged_bytes"), [(256, 1_000), (216, 1_000), (208, 14_480)], ids=["newer", "4.19", "4.10"]
)
def test_fields_are_taken_from_their_places(length: int, unacknowledged_bytes: int) -> None:
    """Ten small packets are under way, of 100 bytes each; an older kernel does not tell how small they are."""
    data = bytearray(256)
    data[7] = 0x03
    for at, value in ((16, 1448), (24, 10), (68, 40_000), (72, 5_000), (100, 7), (144, 65_536), (148, 30_000)):
        data[at : at + 4] = value.to_bytes(4, sys.byteorder)
    for at, value in ((120, 5_000_000_000), (160, 250_000), (168, 3_000_000), (176, 2_616_000), (184, 1_000)):
        data[at : at + 8] = value.to_bytes(8, sys.byteorder)
    for at, value in ((200, 5_000_003_000), (208, 2_000)):
        data[at : at + 8] = value.to_bytes(8, sys.byteorder)
    info = parse_tcp_info(bytes(data[:length]))
    assert info == (
        0.04,
        0.005,
        0.03,
        250_000.0,
        True,
        7,
        65_536,
        unacknowledged_bytes,
        5_000_000_000,
        3.0,
        2.616,
        0.001,
    )


@linux
def test_a_reader_that_stands_still_is_told_from_a_slow_line(pair: tuple[socket.socket, socket.socket]) -> None:
    sender, _ = pair
    sender.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            sender.send(bytes(65536))
    before = read_tcp_info(sender)
    assert before is not None
    now = before
    while now.busy_s - before.busy_s < 0.1:  # the kernel counts in steps of its clock
        now = read_tcp_info(sender) or now
    assert now.unsent_bytes > 0
    assert bottleneck_of(before, now, now.busy_s - before.busy_s, lagging=True) is Bottleneck.READER


@linux
def test_an_idle_socket_is_not_busy(pair: tuple[socket.socket, socket.socket]) -> None:
    sender, reader = pair
    sender.sendall(b"word")
    assert reader.recv(4) == b"word"
    info = read_tcp_info(sender)
    assert info is not None
    assert 0 < info.rtt_s < 10
    assert (info.unsent_bytes, info.retransmits, info.reader_limited_s) == (0, 0, 0.0)
    assert info.unacknowledged_bytes <= len(b"word")
