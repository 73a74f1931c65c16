"""Timed links: payloads over a real socket with a rate, from encoding to decoded, beside the cost that was computed."""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.optimizer.array_streams import Array, ArrayStream
from benchmarks.optimizer.measuring import ALL, Measured, flat
from benchmarks.processes import VerificationFailed
from benchmarks.slow_link.paced_line import paced_line
from gateway.optimizer.decisions.advice import figures_of, may_decode
from gateway.optimizer.delivery_cost import Delivery, EncodingFigures, best_of, delivery_cost
from gateway.protocol.encoding import Chain, Encoding, encode

RATES_BITS_PER_S: Final = (20_000_000, 200_000_000)
"""Rates of the links."""
STREAMS: Final = (
    "china/scaled",
    "table/wine",
    "digits/float32",
    "tokens/int64",
    "signal/walk",
    "network/activations",
    "mask/values",
    "embeddings/float32",
)
"""Streams that are sent. States are not among them: their deltas need a version that the receiver has."""
REPEATS: Final = 5
"""Times that each payload is sent; the median counts."""
CONNECT_S: Final = 10.0
"""Longest time until the receiver connects, and until it answers."""


@dataclass(frozen=True, slots=True)
class Timed:
    """Payload of one stream over one link, by two chains."""

    link: str
    stream: str
    usual: str
    """Chain of the sampled policy."""
    chosen: str
    """Chain of least cost."""
    usual_s: tuple[float, float]
    """Computed and measured time from the beginning of encoding until the payload is decoded."""
    chosen_s: tuple[float, float]
    """The same by the chain of least cost."""


def timed_links(streams: Iterable[ArrayStream], measured: Sequence[Measured]) -> Iterator[Timed]:
    """Yield the times of one payload of each stream over each link.

    Args:
        streams: the payloads.
        measured: the same payloads, measured.

    Raises:
        VerificationFailed: the receiver has not answered.
    """
    arrays = {f"benchmark/{stream.name}": stream.payloads[1] for stream in streams if stream.name in STREAMS}
    first = {each.truth.stream: each for each in reversed(measured) if each.truth.stream in arrays}
    for bits_per_s in RATES_BITS_PER_S:
        with socket.create_server(("", 0)) as listening:
            listening.settimeout(CONNECT_S)
            port = listening.getsockname()[1]
            with paced_line(port, bits_per_s) as line:
                program = [sys.executable, "-m", "benchmarks.optimizer.receiver", line.host, str(line.port)]
                with subprocess.Popen([*line.command, *program]) as receiver:
                    try:
                        connection, _ = listening.accept()
                        with connection:
                            connection.settimeout(CONNECT_S)
                            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                            for name, each in first.items():
                                yield _timed(connection, arrays[name], each, bits_per_s)
                    except TimeoutError as error:
                        raise VerificationFailed(f"no answer over {bits_per_s / 1e6:g} Mbit/s") from error
                    finally:
                        receiver.terminate()


def _timed(connection: socket.socket, array: Array, measured: Measured, bits_per_s: int) -> Timed:
    figures = {each.chain: each for each in figures_of(measured.truth) if may_decode(ALL, each.chain)}
    delivery = Delivery(payload_bytes=measured.truth.sample_bytes, goodput_bytes_per_s=bits_per_s / 8)
    best = best_of(figures_of(measured.sampled), delivery)
    assert best is not None
    usual, chosen = figures[measured.sampled_rule[ALL]], figures[best[0].chain]

    def times(each: EncodingFigures) -> tuple[float, float]:
        took_s = [_send(connection, array, Chain.parse(each.chain)) for _ in range(REPEATS)]
        return delivery_cost(each, delivery).delay_s, statistics.median(took_s)

    stream = measured.truth.stream.removeprefix("benchmark/")
    return Timed(f"{bits_per_s / 1e6:g} Mbit/s", stream, usual.chain, chosen.chain, times(usual), times(chosen))


def _send(connection: socket.socket, array: Array, chain: Chain) -> float:
    """Send a payload, and return the time until it can be used."""
    begin_s = time.perf_counter()
    payload = flat(array)
    encoded = encode(chain, payload, array.dtype)
    encoding, data = encoded if encoded is not None else (Encoding(len(payload), ()), payload)
    connection.sendall(encoding.write() + len(data).to_bytes(8, "little"))
    connection.sendall(data)
    if connection.recv(1) != b"\x01":
        raise VerificationFailed("the receiver has ended")
    return time.perf_counter() - begin_s
