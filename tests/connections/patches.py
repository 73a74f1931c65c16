"""Publishers and receivers of states that are patched, and the model that they are held to: numpy's own assignment."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import orjson

from gateway.protocol.data import write_data
from gateway.protocol.dtypes import BYTE, dtype_named
from gateway.protocol.encoding import PLAIN, Chain, Encoding, encode
from gateway.protocol.extensions import Extensions
from gateway.protocol.meta import write_meta
from gateway.protocol.regions import Region
from gateway.protocol.signals import End
from gateway.protocol.tensors import Array, as_wire_array, spec_of
from gateway.protocol.transfers import ChunkPlan, split_payload, write_chunk
from gateway.protocol.wire import FLAG_ACK, Buffer, Opcode
from tests.connections.frames import CHUNK_BYTES, START_NS
from tests.connections.memory import EVERY_CODEC, Peer, TextPeer, World

STREAM = "wf/field"
PATCH_CODECS = ("lz4", "zstd", "patch")


class Publisher:
    """Publishes one state, whole and in patches, and keeps what it is at every offset.

    Args:
        world: where.
        first: who has published to the state before, and so knows its versions.

    Attributes:
        versions: the state at each offset.
    """

    def __init__(self, world: World, first: Publisher | None = None) -> None:
        self.peer = world.peer("publisher" if first is None else "another", EVERY_CODEC)
        self.peer.open(0, STREAM)
        self.versions: list[Array] = [] if first is None else first.versions

    def whole(self, array: Array, *, chunked: bool = False, chain: Chain = PLAIN) -> None:
        """Publish the state."""
        array = as_wire_array(array)
        for frame in self._frames(array, None, chunked=chunked, chain=chain):
            self.peer.send(frame)
        self.versions.append(array.copy())

    def patch(self, key: Any, value: Any, *, chunked: bool = False, chain: Chain = PLAIN) -> None:
        """Publish a part of it."""
        for frame in self.patch_frames(key, value, chunked=chunked, chain=chain):
            self.peer.send(frame)
        self.patched(key, value)

    def patch_frames(self, key: Any, value: Any, *, chunked: bool = True, chain: Chain = PLAIN) -> list[list[Buffer]]:
        """The frames of a patch, to be sent; call :meth:`patched` with the last."""
        state = self.versions[-1].copy()
        state[key] = value
        region = Region.of(key, state.shape)
        return self._frames(as_wire_array(region.selects(state)), region, chunked=chunked, chain=chain)

    def patched(self, key: Any, value: Any) -> None:
        """The state has changed."""
        state = self.versions[-1].copy()
        state[key] = value
        self.versions.append(state)

    def _frames(self, array: Array, region: Region | None, *, chunked: bool, chain: Chain) -> list[list[Buffer]]:
        payload = array.tobytes()
        self.peer.sequences[0] += 1
        plan = ChunkPlan(1, CHUNK_BYTES, len(payload)) if chunked and payload else None
        encoding, data = (None, payload) if plan is not None else encoded_if_smaller(chain, payload)
        head = write_data(
            Opcode.MESSAGE,
            stream=0,
            offset=self.peer.sequences[0],
            timestamp_ns=START_NS,
            flags=FLAG_ACK,
            meta=write_meta([spec_of(array)], {"size": array.size}),
            extensions=None if region is None else Extensions(region=region.extents),
            plan=plan,
            encoding=encoding,
            payload=() if plan is not None else (data,),
        )
        if plan is None:
            return [head]
        chunks = [encoded_if_smaller(chain, b"".join(part)) for part in split_payload([payload], plan.chunk_bytes)]
        return [
            head,
            *[write_chunk(1, index, (data,), encoding) for index, (encoding, data) in enumerate(chunks)],
            [End(1, 0, START_NS).write()],
        ]


def encoded_if_smaller(chain: Chain, payload: Buffer) -> tuple[Encoding | None, Buffer]:
    """A payload as a chain encodes it, plain if that does not make it smaller."""
    found = None if chain == PLAIN else encode(chain, payload, BYTE)
    return (None, payload) if found is None else found


class Receiver:
    """What a client makes of a state that it gets whole or in patches.

    Attributes:
        offset: of the version that it holds; -1 before there is one.
        versions: what it held, by offset.
    """

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.offset = -1
        self.versions: dict[int, Array] = {}
        self.patches = 0
        self.headers: object = None

    def read(self) -> None:
        """Take in what has come."""
        for arrival in self.peer.news().arrivals:
            (spec,) = arrival.specs
            array: Array = np.frombuffer(arrival.payload, spec.dtype).reshape(spec.shape)
            # Those of the newest publish, patch or not.
            self.headers = arrival.headers
            if arrival.region is not None:
                assert arrival.offset == self.offset + 1, "a patch to one who does not hold the version before it"
                patch, array = array, self.versions[self.offset].copy()
                arrival.region.selects(array)[...] = patch
                self.patches += 1
            assert arrival.offset >= self.offset
            self.offset = arrival.offset
            self.versions[self.offset] = array


class TextReceiver:
    """The same of ``frys.v1.json``, where there are no patches."""

    def __init__(self, world: World) -> None:
        self.peer = TextPeer(world)
        self.peer.send('{"message_type":"hello","client_type":"agent","payload":{"versions":[1],"filters":["patch"]}}')
        self.peer.send(f'{{"id":1,"message_type":"subscribe","payload":{{"pattern":"{STREAM}"}}}}')
        self.offset = -1
        self.versions: dict[int, Array] = {}

    def read(self) -> None:
        """Take in what has come."""
        for text in self.peer.texts():
            message = orjson.loads(text)
            if message["message_type"] != "message":
                continue
            payload = message["payload"]
            data = base64.b64decode(payload["data"])
            assert message["offset"] >= self.offset
            self.offset = message["offset"]
            self.versions[self.offset] = np.frombuffer(data, dtype_named(payload["dtype"])).reshape(payload["shape"])
