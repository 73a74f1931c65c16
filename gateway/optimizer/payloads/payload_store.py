"""Payload store: takes samples of streams whose rule has ``store_payloads``, and has them written by another process.

A thread copies one payload of such a stream in some seconds. Other streams cost a look at their configuration for each
traffic record, and nothing of them is copied.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from gateway.connections.ports import Clock, Sample, Threads
from gateway.errors import RequestRefused
from gateway.optimizer.history.record import PayloadFeatures, TrafficRecord
from gateway.optimizer.history.stats import PayloadStoreStats
from gateway.optimizer.history.writer_process import WriterProcess, Writing
from gateway.optimizer.payloads.payload_files import DIRECTORY
from gateway.optimizer.payloads.stored_payload import MAX_SAMPLE_BYTES, PayloadDescription, StoredPayload
from gateway.optimizer.settings import OptimizerSettings
from gateway.optimizer.shadow.sample_memory import copy_pieces
from gateway.protocol.dtypes import dtype_name
from gateway.protocol.encoding import decode
from gateway.protocol.meta import parse_meta
from gateway.protocol.wire import Buffer
from gateway.streams.derived import DerivedStream
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)

STORE_INTERVAL_S: Final = 10.0
"""Shortest time from one payload of a stream that is stored to the next."""
MAX_STREAMS: Final = 4096
"""Streams of which the time of the last payload is known; the one that was stored longest ago is forgotten."""
MAX_COPYING: Final = 4
"""Payloads that are with a thread; others wait for another record of their stream."""
PAYLOADS: Final = Writing("store of payloads", "payloads", 16)
"""Stored payloads: at most 4 MB wait for the process."""


class PayloadStore:
    """Payload store of one gateway, a listener to its recorder.

    Args:
        history_path: directory of the traffic history; the payloads are in one below it.
        settings: size and age of the files.
        clock: the time.
        threads: decode and copy samples.
    """

    def __init__(self, history_path: Path, settings: OptimizerSettings, clock: Clock, threads: Threads) -> None:
        self._clock = clock
        self._threads = threads
        directory, age_s = history_path / DIRECTORY, str(settings.payloads_expire_after_s)
        self._process = WriterProcess(directory, settings.payload_bytes, PAYLOADS, age_s)
        self._stored_s: dict[int, float] = {}
        """Time of the last payload of a stream, by its id, the oldest first."""
        self._copying = 0
        self._unreadable = 0

    def pump(self) -> None:
        """Pass payloads on to the process that writes, which is started if there is none."""
        self._process.pump(self._clock.monotonic_s())

    def close(self, timeout_s: float) -> None:
        """Have all payloads written; for any thread, once the core is not used any more."""
        self._process.close(timeout_s)

    def stats(self) -> PayloadStoreStats:
        """Return the counts as they stand."""
        process = self._process
        return PayloadStoreStats(
            directory=str(process.directory),
            taken=process.recorded,
            written=process.written,
            unwritten=process.dropped + process.failed + process.lost,
            unreadable=self._unreadable,
            held_bytes=process.held_bytes,
            failure=process.failure,
        )

    def offered(self, stream: Stream, sample: Sample) -> None:
        """Take a payload of a stream that is to be stored, if the last one was taken long enough ago."""
        if not stream.config.store_payloads or self._copying >= MAX_COPYING or not sample.is_readable:
            return
        now_s = self._clock.monotonic_s()
        stored_s = self._stored_s.get(stream.id)
        if stored_s is not None and now_s - stored_s < STORE_INTERVAL_S:
            return
        self._stored_s.pop(stream.id, None)
        self._stored_s[stream.id] = now_s
        if len(self._stored_s) > MAX_STREAMS:
            del self._stored_s[next(iter(self._stored_s))]
        self._take(stream, sample)

    def featured(self, stream: Stream, sample: Sample, features: PayloadFeatures) -> None:
        """Leave features alone: those of a sample follow from it."""

    def recorded(self, stream: Stream, record: TrafficRecord) -> None:
        """Leave traffic records alone: the history has them."""

    def forgotten(self, stream: Stream) -> None:
        """Forget a stream that has ended; its payloads stay in their files."""
        self._stored_s.pop(stream.id, None)

    def _take(self, stream: Stream, sample: Sample) -> None:
        """Have a payload copied by a thread, and then written."""
        self._copying += 1
        name, view = stream.name, str(stream.view) if isinstance(stream, DerivedStream) else ""
        time_ns = self._clock.time_ns()

        def packed() -> bytes:
            return _stored(name, view, time_ns, sample).pack()

        def put(result: bytes | BaseException) -> None:
            self._copying -= 1
            if isinstance(result, bytes):
                self._process.put(result)
                return
            self._unreadable += 1
            if not isinstance(result, RequestRefused):  # the payload cannot be decoded by anybody
                logger.error("a payload of %s cannot be stored", name, exc_info=result)

        self._threads.submit(packed, put)


def _stored(name: str, view: str, time_ns: int, sample: Sample) -> StoredPayload:
    payload = decode(sample.encoding, sample.payload)
    try:
        base = None if sample.base is None else sample.base()
    except RequestRefused:  # there are no deltas to it
        base = None
    specs = parse_meta(sample.meta).specs
    description = PayloadDescription(
        time_ns=time_ns,
        stream=name,
        view=view,
        dtype=dtype_name(specs[0].dtype) if specs else "",
        shape=specs[0].shape if specs else (),
        element=dtype_name(sample.element),
        integers=sample.integers,
        payload_bytes=sum([spec.nbytes for spec in specs]),
    )
    based = base is not None and len(base) == len(payload)
    return StoredPayload(description, _pieces(payload), _pieces(base) if base is not None and based else b"")


def _pieces(payload: Buffer) -> bytes:
    out = bytearray(MAX_SAMPLE_BYTES)
    return bytes(memoryview(out)[: copy_pieces(payload, memoryview(out))])
