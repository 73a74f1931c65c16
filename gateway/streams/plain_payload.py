"""Plain payload: decoded payload of one version of a state, as deltas need it, or the requested parts of it."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from gateway.protocol.encoding import decode
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.wire import Buffer
from gateway.streams.large import StoredChunk


class PlainPayload:
    """Payload of one message of a ``state`` stream, decoded on demand.

    It shares the buffers of the message, which never change. Pieces that were received encoded are decoded at the first
    request and then kept, so a version costs at most its plain payload beside the message. Safe to use from several
    threads.

    Args:
        offset: of the message.
        specs: dtype and shape of its tensors.
        piece_bytes: decoded size of every piece but the last.
        pieces: the payload as received: its chunks, or one piece.
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
        """Return ``size`` decoded bytes, at least 1, from index ``at`` on; a view if they lie in one piece.

        Raises:
            RequestRefused: ``CORRUPT_PAYLOAD``: the published payload cannot be decoded.
        """
        first, start = divmod(at, self._piece_bytes)
        last = (at + size - 1) // self._piece_bytes
        pieces = [memoryview(self._piece(index)) for index in range(first, last + 1)]
        # No copy if both versions are cut into pieces of the same size, as they usually are.
        return pieces[0][start : start + size] if len(pieces) == 1 else b"".join(pieces)[start : start + size]

    def _piece(self, index: int) -> Buffer:
        with self._lock:
            piece = self._pieces[index]
            if piece.encoding is not None:
                piece = self._pieces[index] = StoredChunk(None, decode(piece.encoding, piece.data))
            return piece.data
