"""Chains of codecs: order to an encoder, description on the wire, encoding and decoding (spec section 10).

Pure functions over buffers, safe to call from worker threads. The choice of a chain is made in
:mod:`gateway.protocol.sampling`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final, NamedTuple, TypeVar

import numpy as np

from gateway.errors import Code, InvalidArgument, ProtocolViolation, RequestRefused
from gateway.protocol.codecs import (
    CODEC_NAMES,
    COMPRESSORS,
    DELTAS,
    NONE,
    SHUFFLE,
    XOR,
    Compressor,
    compressor_of,
    filter_of,
    is_compressor,
)
from gateway.protocol.codecs.abc import Codec, corrupt
from gateway.protocol.dtypes import DTypeLike
from gateway.protocol.wire import ENCODING_BLOCK, MAX_STEPS, Buffer

T = TypeVar("T")

_STEPS_AT: Final = 8
_NOT_OF_CODECS: Final = (RequestRefused, KeyboardInterrupt, SystemExit, GeneratorExit)
"""Exceptions that pass through decoding as they are: refusals, and those that come from outside of the codec. All
others are faults of it, also those outside of ``Exception``, as libraries in Rust raise them when they panic."""
_DELTA_BY_ID: Final = {step.id: step for step in DELTAS.values()}
_DISTANCES: Final = XOR.parameters
_MAX_PIECE_BYTES: Final = 0x7E000000
"""Largest input of every compressor (lz4 takes the least). Larger payloads travel in chunks, encoded one by one."""


class CodecStep(NamedTuple):
    """One step of a chain on the wire: a codec and its parameter (spec section 10)."""

    id: int
    param: int


@dataclass(frozen=True, slots=True)
class Encoding:
    """Encoding block of a payload or chunk (spec section 10.1)."""

    decoded_bytes: int
    """Size after decoding, which decoding allocates. Compare it with the descriptors or the chunk plan, and with the
    limit on a message, before decoding."""
    steps: tuple[CodecStep, ...]
    """Steps in the order in which the encoder applied them, without the end of the chain; empty for plain data."""

    @property
    def ids(self) -> frozenset[int]:
        """Ids of the codecs that decoding needs."""
        return frozenset([step.id for step in self.steps])

    @property
    def distance(self) -> int:
        """Offsets from a delta back to its base (spec section 10); 0 if the data is no delta."""
        return next((step.param for step in self.steps if step.id in _DELTA_BY_ID), 0)

    def write(self) -> bytes:
        """Return the block, 16 bytes."""
        flat = [number for step in self.steps for number in step]
        return ENCODING_BLOCK.pack(self.decoded_bytes, *flat, *[0] * (2 * MAX_STEPS - len(flat)))


def parse_encoding(buffer: Buffer, at: int = 0) -> Encoding:
    """Return the encoding block that starts at ``at``.

    Raises:
        RequestRefused: ``UNKNOWN_CODEC``, an unknown id, a parameter out of range, or a chain that breaks the rules.
        ProtocolViolation: ``MALFORMED_FRAME``, the buffer ends within the block.
    """
    block = bytes(buffer[at : at + ENCODING_BLOCK.size])
    if len(block) < ENCODING_BLOCK.size:
        raise ProtocolViolation(Code.MALFORMED_FRAME, f"encoding block of {len(block)} bytes is cut off")
    return Encoding(int.from_bytes(block[:_STEPS_AT], "little"), _parse_steps(block[_STEPS_AT:]))


@lru_cache(maxsize=256)
def _parse_steps(block: bytes) -> tuple[CodecStep, ...]:
    """Parse the steps of a block; cached, because a connection uses a handful of chains for all its messages."""
    pairs = list(zip(block[::2], block[1::2], strict=True))
    ids = [step_id for step_id, _ in pairs]
    steps = tuple(CodecStep(*pair) for pair in pairs[: ids.index(NONE.id) if NONE.id in ids else None])
    for index, step in enumerate(steps):
        if is_compressor(step.id) and index != len(steps) - 1:
            raise _unknown_codec(f"{compressor_of(step.id).name} is not the last step", steps)
        codec = compressor_of(step.id) if is_compressor(step.id) else filter_of(step.id)
        if step.param not in codec.parameters:
            raise _unknown_codec(f"{codec.name} has parameter {step.param}", steps)
    if len({step.id for step in steps}) != len(steps):
        raise _unknown_codec("a filter occurs twice", steps)
    if sum([step.id in _DELTA_BY_ID for step in steps]) > 1:
        raise _unknown_codec("two delta filters; one is allowed", steps)
    return steps


def _unknown_codec(problem: str, steps: Sequence[CodecStep]) -> RequestRefused:
    return RequestRefused(Code.UNKNOWN_CODEC, f"codec chain {[tuple(step) for step in steps]}: {problem}")


@dataclass(frozen=True, slots=True)
class Chain:
    """Steps that an encoder is to apply; written ``"diff32:1+shuffle+zstd:3"``.

    Raises:
        InvalidArgument: no encoder can follow the chain.
    """

    shuffle: bool = False
    """True to shuffle bytes, by the element size of the payload."""
    codec: str = NONE.name
    """Compressor: ``none``, ``lz4``, ``zstd``, ``snappy`` or ``pco``."""
    level: int | None = None
    """Level of the codec; None is its default."""
    delta: str = ""
    """Filter that makes a delta, ``xor`` or ``diff8`` to ``diff64``; empty for none."""
    distance: int = 0
    """Offsets from the delta back to its base, 1 to 255; 0 without ``delta``."""

    def __post_init__(self) -> None:
        if self.codec != NONE.name and self.codec not in COMPRESSORS:
            known = ", ".join((NONE.name, *CODEC_NAMES))
            raise InvalidArgument(f"unknown codec {self.codec!r}; known are {known}")
        levels = self._compressor.levels
        if self.level is not None and self.level not in levels:
            allowed = f"{levels[0]} to {levels[-1]}" if levels else "none at all"
            raise InvalidArgument(f"{self.codec} has no level {self.level}; allowed are {allowed}")
        if self.delta and self.delta not in DELTAS:
            raise InvalidArgument(f"unknown delta filter {self.delta!r}; known are {', '.join(DELTAS)}")
        if self.distance not in (_DISTANCES if self.delta else (0,)):
            problem = f"{self.delta or 'no delta'} to the version {self.distance} before"
            raise InvalidArgument(f"{problem}; possible are {_DISTANCES[0]} to {_DISTANCES[-1]} with a delta filter")

    @classmethod
    def parse(cls, text: str) -> Chain:
        """Return the chain that ``str(chain)`` wrote; ``""`` is :data:`PLAIN`.

        Raises:
            InvalidArgument: unknown names, a wrong order, or levels that are not numbers in range.
        """
        parts = [part.partition(":") for part in text.split("+")]
        delta, distance = "", 0
        if parts[0][0] in DELTAS:
            delta, _, number = parts.pop(0)
            distance = _number(number or "1", text)
        shuffle = bool(parts) and parts[0] == (SHUFFLE.name, "", "")
        if shuffle:
            parts.pop(0)
        if len(parts) > 1:
            raise InvalidArgument(
                f"codec chain {text!r}: the order is one of {', '.join(DELTAS)}, then shuffle, then one codec"
            )
        codec, _, level = parts[0] if parts else ("", "", "")
        return cls(shuffle, codec or NONE.name, _number(level, text) if level else None, delta, distance)

    def __str__(self) -> str:
        parts = [f"{self.delta}:{self.distance}"] if self.delta else []
        if self.shuffle:
            parts.append(SHUFFLE.name)
        if self.codec != NONE.name:
            parts.append(self.codec if self.level is None else f"{self.codec}:{self.level}")
        return "+".join(parts) or NONE.name

    @property
    def names(self) -> frozenset[str]:
        """Codecs and filters that a receiver must know, by name."""
        names = {self.codec, self.delta} - {NONE.name, ""}
        if self.shuffle:
            names.add(SHUFFLE.name)
        return frozenset(names)

    def steps(self, element: DTypeLike) -> tuple[CodecStep, ...]:
        """Return the steps on the wire for elements of a dtype; single bytes are not shuffled."""
        steps: list[CodecStep] = []
        if self.delta:
            steps.append(CodecStep(DELTAS[self.delta].id, self.distance))
            element = DELTAS[self.delta].filtered(element)
        if self.shuffle and element.itemsize in SHUFFLE.parameters:
            steps.append(CodecStep(SHUFFLE.id, element.itemsize))
            element = SHUFFLE.filtered(element)
        if self.codec != NONE.name:
            steps.append(CodecStep(self._compressor.id, self._compressor.parameter_for(element)))
        return tuple(steps)

    @property
    def _compressor(self) -> Compressor:
        return COMPRESSORS.get(self.codec, NONE)


def _number(text: str, chain: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidArgument(f"codec chain {chain!r}: {text!r} must be an integer") from None


PLAIN: Final = Chain()
"""No filter, no codec."""


def encode(
    chain: Chain, payload: Buffer, element: DTypeLike, *, base: Buffer | None = None
) -> tuple[Encoding, Buffer] | None:
    """Encode a payload or a chunk.

    Args:
        chain: steps to apply.
        payload: flat bytes.
        element: dtype of the elements.
        base: with ``chain.delta``, the earlier payload of the same size that the delta refers to.

    Returns:
        The encoding block and the encoded data; or None, to be sent plain: block and data would not be smaller than the
        payload, or the payload is larger than codecs take at once.

    Raises:
        InvalidArgument: the chain needs a base of the payload's size.
    """
    if chain.codec == NONE.name or len(payload) > _MAX_PIECE_BYTES:
        return None
    encoding = Encoding(len(payload), chain.steps(element))
    data = payload
    for step in encoding.steps[:-1]:
        out = np.empty(len(payload), np.uint8).data
        filter_of(step.id).encode_into(data, out, step.param, base)
        data = out
    data = COMPRESSORS[chain.codec].encode(data, chain.level, encoding.steps[-1].param)
    return (encoding, data) if len(data) + ENCODING_BLOCK.size < len(payload) else None


def check_declared_size(encoding: Encoding, data: Buffer) -> None:
    """Refuse data that cannot decode to its declared size, from its length and header alone; nothing is decompressed.

    Raises:
        RequestRefused: ``CORRUPT_PAYLOAD``; ``UNKNOWN_CODEC``.
    """
    compressor, parameter = _compressor_of(encoding)
    _result_of(compressor, encoding, partial(compressor.check_size, data, encoding.decoded_bytes, parameter))


def decode(encoding: Encoding | None, data: Buffer, *, base: Buffer | None = None) -> Buffer:
    """Decode a payload or a chunk.

    Args:
        encoding: from the wire; the caller has checked ``decoded_bytes`` against its limit. None: the data is plain.
        data: flat bytes.
        base: for a delta, the payload that it refers to.

    Returns:
        Flat bytes of exactly the declared size; ``data`` itself if it is plain, or for a chain without steps.

    Raises:
        RequestRefused: ``CORRUPT_PAYLOAD``; ``UNKNOWN_CODEC``.
    """
    if encoding is None:
        return data
    if _filter_steps(encoding):
        check_declared_size(encoding, data)
        out = np.empty(encoding.decoded_bytes, np.uint8).data
        decode_into(encoding, data, out, base=base)
        return out.toreadonly()
    return _decompressed(encoding, data)


def decode_into(encoding: Encoding, data: Buffer, out: memoryview, *, base: Buffer | None = None) -> None:
    """Decode a payload or a chunk into its place.

    Args:
        encoding: as parsed.
        data: flat bytes, not overlapping ``out``.
        out: flat, writable; undefined after an error.
        base: for a delta, the payload (or the same chunk of it) that it refers to.

    Raises:
        RequestRefused: ``CORRUPT_PAYLOAD``, also if ``out`` is not of the declared size; ``UNKNOWN_CODEC``.
    """
    if len(out) != encoding.decoded_bytes:
        raise corrupt(f"the encoding block declares {encoding.decoded_bytes} bytes where {len(out)} are expected")
    decoded = _decompressed(encoding, data)
    filters = _filter_steps(encoding)
    for step in reversed(filters):
        target = out if step is filters[0] else np.empty(len(out), np.uint8).data
        codec = filter_of(step.id)
        _result_of(codec, encoding, partial(codec.decode_into, decoded, target, step.param, base))
        decoded = target
    if not filters:
        out[:] = decoded


def _decompressed(encoding: Encoding, data: Buffer) -> Buffer:
    compressor, parameter = _compressor_of(encoding)
    decoded = _result_of(compressor, encoding, partial(compressor.decode, data, encoding.decoded_bytes, parameter))
    if len(decoded) != encoding.decoded_bytes:
        raise corrupt(f"{compressor.name} has made {len(decoded)} bytes of {encoding.decoded_bytes} that are declared")
    return decoded


def _result_of(codec: Codec, encoding: Encoding, work: Callable[[], T]) -> T:
    """Return what a codec makes of data.

    Every decoding on both ends comes by here, so that no fault of a codec or its library cuts a connection: a client
    would come back for the same message, and fail on it again, for as long as the stream keeps it.

    Raises:
        RequestRefused: its own refusal; ``CORRUPT_PAYLOAD`` for whatever else it raises.
    """
    try:
        return work()
    except _NOT_OF_CODECS:
        raise
    except BaseException as error:
        problem = f"{type(error).__name__}: {error}"
        declared = f"{codec.name} fails on data declared as {encoding.decoded_bytes} bytes"
        raise corrupt(f"{declared}: {problem}") from error


def _compressor_of(encoding: Encoding) -> tuple[Compressor, int]:
    """Return the compressor of an encoding, and its parameter."""
    steps = encoding.steps
    return (compressor_of(steps[-1].id), steps[-1].param) if steps and is_compressor(steps[-1].id) else (NONE, 0)


def _filter_steps(encoding: Encoding) -> tuple[CodecStep, ...]:
    steps = encoding.steps
    return steps[:-1] if steps and is_compressor(steps[-1].id) else steps
