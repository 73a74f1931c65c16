"""Content of a message: a caller's value and headers as meta block and payload buffers (spec section 5.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import numpy as np

from gateway.errors import InvalidArgument, UsageError
from gateway.protocol.arguments import check_mapping, is_a, shown, wrong
from gateway.protocol.dtypes import DTypeLike, common_element
from gateway.protocol.messages import Kind
from gateway.protocol.meta import write_meta, write_tensor_meta
from gateway.protocol.tensors import (
    Array,
    TensorSpec,
    as_wire_array,
    payload_buffers,
    payload_layout,
    spec_of,
)
from gateway.protocol.transfers import travels_whole
from gateway.protocol.wire import Buffer

_KINDS: Final[dict[str, Kind]] = {kind.value: kind for kind in Kind}
COPIES: Final = 4
"""Attempts to copy a payload that other threads write to."""
SNAPSHOT_BYTES: Final = 4 * 1024 * 1024
"""Largest payload that is copied to be sent in chunks: to copy 1 MiB and compare it takes 35 us, to read it once more
for a checksum 155 us (2026-11)."""
ROOMS_BYTES: Final = 8 * 1024 * 1024
"""Memory for such copies, all messages of a client."""
_NO_VALUE: Final = "it must be an array, or a mapping of names to arrays"
_KNOWN_KINDS: Final = f"unknown kind; known are {', '.join(Kind)}"

Headers = Mapping[str, Any] | None
"""JSON values by name."""

Signature = tuple[tuple[np.dtype[Any], tuple[int, ...]], ...]
"""dtype and shape of each tensor, which messages of a stream that look alike have in common."""


class Content(NamedTuple):
    """A message's tensors and headers, ready to be framed."""

    meta: bytes
    buffers: list[Buffer]
    """The payload in order; views of the caller's arrays wherever they could be used as they are."""
    payload_bytes: int
    element: DTypeLike
    """Dtype of the elements, for codecs; single bytes where tensors of different element sizes are mixed."""
    signature: Signature

    def payload(self) -> Buffer:
        """Return the payload in one buffer. Copies if it consists of several tensors."""
        return self.buffers[0] if len(self.buffers) == 1 else b"".join(self.buffers)

    def owned(self) -> Content:
        """Return the same content in memory of its own."""
        payload = b"".join(self.buffers)
        return self._replace(buffers=[payload] if payload else [])

    @property
    def unchanging(self) -> bool:
        """Whether nobody can change the payload: its buffers are of type ``bytes``."""
        return all(type(buffer) is bytes for buffer in self.buffers)

    def copied(self, room: bytearray, name: str) -> Buffer:
        """Return the payload as it was at one moment, although other threads may write to it meanwhile.

        Args:
            room: takes the copy; it has at least the size of the payload. Memory that was used before is much faster.
            name: destination of the message, for the error.

        Raises:
            UsageError: they write to it all the time.
        """
        buffers = self.buffers
        if len(buffers) == 1 and type(buffers[0]) is bytes:  # never changes
            return buffers[0]
        for _ in range(COPIES):
            copy = copy_into(room, buffers)
            at, same = len(copy), True
            # Memory that is the same behind the copy was so all the time, and so at the moment between both.
            for buffer in reversed(buffers):
                at -= len(buffer)
                same = same and room.startswith(buffer, at)
            if same:
                return copy
        raise changed(name)

    def fits_one_frame(self, chunk_bytes: int, frame_bytes: int) -> bool:
        """Return whether the message need not be cut, given the sizes of a chunk and of the largest frame."""
        # A large meta block can be what makes a frame too large; an empty payload cannot be chunked.
        room = frame_bytes - len(self.meta)
        return not self.payload_bytes or travels_whole(self.payload_bytes, chunk_bytes, room)


def copy_into(room: bytearray, buffers: Iterable[Buffer]) -> memoryview:
    """Copy buffers into ``room``, one behind the other, and return the part of it that holds the copy."""
    copy, at = memoryview(room), 0
    for buffer in buffers:
        copy[at : at + len(buffer)] = buffer
        at += len(buffer)
    return copy[:at]


class CopyRooms:
    """Memory for copies of large payloads, used again: to get new memory takes several times as long as the copy."""

    def __init__(self) -> None:
        self._spare: list[bytearray] = []
        self._bytes = 0
        """Size of all rooms, also of those that are in use."""

    @contextmanager
    def copied(self, content: Content, name: str) -> Iterator[tuple[Content, bool]]:
        """Yield the content of a message to ``name`` as it is to be cut into chunks, and whether nobody changes it.

        It is a copy as it was at one moment, if there is room for one and it needs one.

        Raises:
            UsageError: other threads write to it all the time.
        """
        size = content.payload_bytes
        room = None if content.unchanging or size > SNAPSHOT_BYTES else self._take(size)
        if room is None:
            yield content, content.unchanging
            return
        try:
            yield content._replace(buffers=[content.copied(room, name)]), True
        except BaseException:
            self._bytes -= len(room)  # not used again: a thread may be reading it
            raise
        self._spare.append(room)

    def clear(self) -> None:
        """Give all rooms up that are not in use."""
        self._bytes -= sum(map(len, self._spare))
        self._spare.clear()

    def _take(self, size: int) -> bytearray | None:
        for at, room in enumerate(self._spare):
            if size <= len(room) < 2 * size:
                return self._spare.pop(at)
        while self._spare and self._bytes + size > ROOMS_BYTES:
            self._bytes -= len(self._spare.pop(0))
        if self._bytes + size > ROOMS_BYTES:
            return None
        self._bytes += size
        return bytearray(size)


def changed(name: str) -> UsageError:
    """Return the error for a message to ``name`` whose memory is changed although the call has not returned."""
    return UsageError(
        f"the array was changed while it was published to {name}, and is not published: publish a copy, or change it "
        "when the publish has returned"
    )


def with_arrays(value: object) -> object:
    """Return a value with arrays in place of its array-likes, as :func:`content_of` takes them without more work.

    To be called by the thread of the program: a foreign array may take long to be made, or wait for the client.

    Raises:
        UnsupportedDtype, InvalidArgument: see :func:`content_of`.
    """
    if value is None:
        return None
    if not is_a(value, Mapping):
        return as_wire_array(value)
    named = check_mapping("value", value, _NO_VALUE)
    return {name: as_wire_array(array) for name, array in named.items()}


def content_of(value: object, headers: Headers) -> Content:
    """Check and lay out a message. A C-contiguous array of the machine's byte order is not copied.

    Args:
        value: one array-like; or a mapping of names to array-likes; or None, for a message of headers only.
        headers: JSON values by name.

    Raises:
        UnsupportedDtype: a dtype cannot travel.
        InvalidArgument: not an array, a wrong name, or headers that are not JSON.
    """
    if value is None:
        named: dict[str, object] = {}
    elif is_a(value, Mapping):
        named = check_mapping("value", value, _NO_VALUE)
    else:
        return _content_of_one(as_wire_array(value), headers)
    arrays = []
    for name, array in named.items():
        if not isinstance(name, str):
            raise InvalidArgument(f"tensors are named by strings, not by {shown(name)}")
        arrays.append(as_wire_array(array))
    specs = [spec_of(array, name) for name, array in zip(named, arrays, strict=True)]
    return Content(
        meta=write_meta(specs, headers),
        buffers=payload_buffers(arrays) if arrays else [],
        payload_bytes=payload_layout(specs)[1],
        element=common_element([spec.dtype for spec in specs]),
        signature=tuple((spec.dtype, spec.shape) for spec in specs),
    )


def _content_of_one(array: Array, headers: Headers) -> Content:
    """Lay out one unnamed tensor: by far the most frequent, and so worth a way of its own (4 us instead of 7)."""
    dtype, shape = array.dtype, array.shape
    plain = headers is None
    meta = write_tensor_meta(dtype, shape) if plain else write_meta((TensorSpec("", dtype, shape),), headers)
    return Content(meta, payload_buffers((array,)), array.nbytes, dtype, ((dtype, shape),))


def kind_of(kind: str | None) -> Kind | None:
    """Return the kind that a caller names.

    Raises:
        InvalidArgument: there is no such kind.
    """
    if kind is None:
        return None
    try:
        return _KINDS[kind]
    except Exception:  # noqa: BLE001 - unknown, or not even hashable
        raise wrong("kind", kind, _KNOWN_KINDS) from None
