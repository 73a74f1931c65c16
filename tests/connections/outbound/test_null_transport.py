"""Whatever is still said to a peer that is gone goes nowhere, and nobody has to ask whether it is there."""

from __future__ import annotations

from gateway.connections.outbound.null_transport import NULL_TRANSPORT
from gateway.connections.ports import Transport
from gateway.connections.socket_counts import NO_SOCKET_COUNTS


def test_it_takes_everything_and_holds_nothing() -> None:
    transport: Transport = NULL_TRANSPORT
    transport.write(b"late")
    transport.writelines([b"too", b"late"])
    transport.ping(b"")
    transport.pause_reading()
    transport.resume_reading()
    transport.close(1000, "again")
    assert transport.waiting_bytes() == 0
    assert transport.socket_counts() is NO_SOCKET_COUNTS
