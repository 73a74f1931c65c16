"""One version of a state, as deltas need it: its payload decoded, or as much of it as somebody asks for."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from gateway.protocol.encoding import decode
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.wire import Buffer
from gateway.streams.large import StoredChunk


class PlainPayload:
    """The payload of one message of a ``state`` stream.

    It shares the buffers of the message, which nobody changes. Pieces that came encoded are decoded when they are first
    asked for and then kept, so a version costs at most its plain payload beside the message. Safe to use from several
    threads.

    Args:
        offset: of the message.
        specs: dtype and shape of its tensors.
        piece_bytes: decoded size of every piece but the last.
        pieces: the payload as it came: its chunks, or one piece.
    """

    __slots__ = ("_lock", "_piece_bytes", "_pieces", "offset", "specs")

    def __init__(
        self, offset: int, specs: tuple[TensorSpec, ...], piece_bytes: int, pieces: Sequence[StoredChunk]
    ) -> None:
        self.offset = offset
        self.specs = specs
        self._piece_bytes = piece_bytes
        self._pieces = list(pieces)
        self._lock = Lock()

    def part(self, at: int, size: int) -> Buffer:
        """``size`` decoded bytes from index ``at`` on, at least 1; a view if they lie in one piece.

        Raises:
            RequestRefused: ``CORRUPT_PAYLOAD``: what was published cannot be decoded.
        """
        first, start = divmod(at, self._piece_bytes)
        last = (at + size - 1) // self._piece_bytes
        pieces = [memoryview(self._piece(index)) for index in range(first, last + 1)]
        # Versions that are cut alike, as they usually are, need no copy.
        return pieces[0][start : start + size] if len(pieces) == 1 else b"".join(pieces)[start : start + size]

    def _piece(self, index: int) -> Buffer:
        with self._lock:
            piece = self._pieces[index]
            if piece.encoding is not None:
                piece = self._pieces[index] = StoredChunk(None, decode(piece.encoding, piece.data))
            return piece.data
