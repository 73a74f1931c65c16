"""Short pong: the answer to a ping that comes in one read, taken without the WebSocket library.

A gateway gets one from each idle client now and then, and the library takes 18 us for one (CPython 3.11, 2026-11).
"""

from __future__ import annotations

from typing import Final

from gateway.websocket.frame_reader import Foreign
from gateway.websocket.masking import MASK_BYTES, apply_mask

_PONG: Final = 0x8A
_MASKED: Final = 0x80
_HEADER_BYTES: Final = 2
_SHORT_HEADER: Final = _HEADER_BYTES + MASK_BYTES


def short_pong(part: Foreign) -> bytes | None:
    """Return the payload of a masked pong; ``None`` if the bytes are anything but one complete pong.

    A pong may stand between the fragments of a message, but not within a frame: so only frames that are known to begin
    with these bytes are looked at.
    """
    data = part.data
    if part.quiet_end < 0 or data[0] != _PONG or len(data) != _SHORT_HEADER + (data[1] ^ _MASKED):
        return None
    return apply_mask(data[_SHORT_HEADER:], bytes(data[_HEADER_BYTES:_SHORT_HEADER]))
