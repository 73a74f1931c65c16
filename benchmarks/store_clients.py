"""Publishers of ``store.py``, on raw sockets, the program of a process of its own."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from benchmarks.processes import VerificationFailed
from benchmarks.sdk_clients import Plan, Results, run_client
from gateway.protocol.data import write_data
from gateway.protocol.durability import Durability
from gateway.protocol.frames import iter_frames
from gateway.protocol.messages import ClientType, Hello, Kind, Open
from gateway.protocol.meta import write_meta
from gateway.protocol.session_body import write_session
from gateway.protocol.signals import Ack
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.wire import FLAG_ACK, SUBPROTOCOL_BINARY, Opcode

PAYLOAD: Final = bytes(100)
META: Final = write_meta([TensorSpec("", np.dtype(np.uint8), (len(PAYLOAD),))], None)
ACK_TIMEOUT_S: Final = 30.0


@dataclass(slots=True)
class Acknowledged:
    """Acknowledgements of all publishers together."""

    acknowledged: int = 0
    last_offset: int = -1
    latencies_s: list[float] | None = None


def publish(plan: Plan, core: int, results: Results, level: str, publishers: int, pack: int, seconds: float) -> None:
    """Publish on ``publishers`` connections, each of which sends ``pack`` messages, awaits their ACKs, and repeats."""
    run_client(core, _publish(plan, results, Durability(level), publishers, pack, seconds))


async def _publish(plan: Plan, results: Results, level: Durability, publishers: int, pack: int, seconds: float) -> None:
    total = Acknowledged(latencies_s=[])
    connections = [await _open(plan, level) for _ in range(publishers)]
    begin = time.perf_counter()
    await asyncio.gather(*(_publish_on(connection, level, pack, begin + seconds, total) for connection in connections))
    elapsed_s = time.perf_counter() - begin
    for connection in connections:
        await connection.close()
    if total.last_offset != total.acknowledged - 1:
        problem = f"{total.acknowledged} messages were acknowledged, the last with offset {total.last_offset}"
        raise VerificationFailed(problem)
    assert total.latencies_s
    results.put(
        {
            "per_second": total.acknowledged / elapsed_s,
            "p50_us": float(np.percentile(total.latencies_s, 50)) * 1e6,
            "p99_us": float(np.percentile(total.latencies_s, 99)) * 1e6,
        }
    )


async def _open(plan: Plan, level: Durability) -> ClientConnection:
    connection = await connect(plan.url, subprotocols=[SUBPROTOCOL_BINARY], compression=None, max_queue=None)  # type: ignore[list-item]
    hello = Hello((1,), ClientType.AGENT)
    await connection.send(write_session(hello) + write_session(Open(0, plan.stream, Kind.EVENT, level)))
    opcodes: set[int] = set()
    while not opcodes >= {Opcode.WELCOME, Opcode.STREAM}:
        message = await connection.recv(decode=False)
        opcodes |= {frame.opcode for frame in iter_frames(message)}
        if Opcode.ERROR in opcodes:
            raise VerificationFailed(f"the gateway refused: {message!r}")
    return connection


async def _publish_on(
    connection: ClientConnection, level: Durability, pack: int, until_s: float, total: Acknowledged
) -> None:
    sequence = 1
    assert total.latencies_s is not None
    while (sent_s := time.perf_counter()) < until_s:
        frames = [
            b"".join(
                write_data(
                    Opcode.MESSAGE,
                    stream=0,
                    offset=sequence + index,
                    timestamp_ns=time.time_ns(),
                    flags=FLAG_ACK,
                    meta=META,
                    payload=(PAYLOAD,),
                )
            )
            for index in range(pack)
        ]
        await connection.send(b"".join(frames))
        sequence += pack
        while await _acknowledged(connection, level, total) < sequence - 1:
            pass
        total.latencies_s.append(time.perf_counter() - sent_s)


async def _acknowledged(connection: ClientConnection, level: Durability, total: Acknowledged) -> int:
    """Return the last sequence that the next message from the gateway acknowledges."""
    message = memoryview(await asyncio.wait_for(connection.recv(decode=False), ACK_TIMEOUT_S))
    last = 0
    for frame in iter_frames(message):
        if frame.opcode != Opcode.ACK:
            continue
        ack = Ack.parse(message, frame)
        if ack.durability is not level:
            raise VerificationFailed(f"acknowledged at {ack.durability}, not {level}")
        total.acknowledged += ack.count
        total.last_offset = max(total.last_offset, ack.offset)
        last = ack.sequence
    return last
