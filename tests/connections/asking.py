"""Requests, replies and cancels as clients write them."""

from __future__ import annotations

import numpy as np

from gateway.protocol.data import write_data
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.extensions import Extensions
from gateway.protocol.signals import Cancel
from gateway.protocol.wire import Opcode
from tests.connections.frames import START_NS, tensor_meta
from tests.connections.memory import LargePublish, Peer, World


def data_frame(
    opcode: int,
    stream: int,
    correlation: int,
    payload: bytes = b"",
    flags: int = 0,
    extensions: Extensions | None = None,
) -> bytes:
    """A REQUEST or REPLY with a uint8 tensor, or nothing."""
    meta = tensor_meta(np.frombuffer(payload, np.uint8)) if payload else b""
    return b"".join(
        write_data(
            opcode,
            stream=stream,
            offset=correlation,
            timestamp_ns=START_NS,
            flags=flags,
            meta=meta,
            payload=(payload,),
            extensions=extensions,
        )
    )


def ask(
    asker: Peer, correlation: int, payload: bytes = b"question", alias: int = 0, deadline_ns: int | None = None
) -> None:
    """Send a request to the address of an alias."""
    extensions = None if deadline_ns is None else Extensions(deadline_ns=deadline_ns)
    asker.send(data_frame(Opcode.REQUEST, alias, correlation, payload, extensions=extensions))


def reply(replier: Peer, asker: Peer, correlation: int, payload: bytes = b"answer", flags: int = 0) -> None:
    """Send a reply."""
    replier.send(data_frame(Opcode.REPLY, peer_of(asker), correlation, payload, flags))


def cancel(asker: Peer, correlation: int) -> None:
    """Want the answer no more."""
    asker.send(Cancel(0, correlation).write())


def ask_large(
    asker: Peer, correlation: int, payload: bytes, *, transfer: int = 1, chain: Chain = PLAIN
) -> LargePublish:
    """Begin a large request to the address of alias 0."""
    large = LargePublish(asker, transfer, payload, chain=chain)
    large.begin(Opcode.REQUEST, 0, correlation)
    return large


def reply_large(
    replier: Peer,
    asker: Peer,
    correlation: int,
    payload: bytes,
    transfer: int = 1,
    flags: int = 0,
    *,
    resuming: bool = False,
) -> LargePublish:
    """Begin a large reply; ``resuming``: its sender wants to know whether it is taken."""
    large = LargePublish(replier, transfer, payload)
    extensions = Extensions(resuming=True) if resuming else None
    large.begin(Opcode.REPLY, peer_of(asker), correlation, extensions, flags)
    return large


def peer_of(client: Peer) -> int:
    """The number of its connection."""
    return int(client.session.peer.id)


def member(world: World, client_id: str, group: str = "group:workers", codecs: tuple[str, ...] = ()) -> Peer:
    """A client that has joined a group by its subscription 7."""
    peer = world.peer(client_id, codecs)
    peer.subscribe(group, 7)
    peer.forget()
    return peer


def asker_of(world: World, address: str = "group:workers", client_id: str = "asker") -> Peer:
    """A client that has opened an address as alias 0."""
    peer = world.peer(client_id, ("lz4", "zstd", "shuffle"))
    peer.open(0, address)
    peer.forget()
    return peer


def nothing_is_left(world: World) -> bool:
    """Whether no request is outstanding, kept or under way."""
    every = [session.requests for session in world.core.pool]
    return not any(
        requests.asked or requests.owed or requests.load_bytes or requests.kept_bytes or session.transfers
        for requests, session in zip(every, world.core.pool, strict=True)
    )
