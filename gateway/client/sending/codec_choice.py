"""Which codec chain the messages of one stream are sent with.

``auto`` samples a payload now and then (``gateway.protocol.sampling``) and keeps to the answer in between.
"""

from __future__ import annotations

from typing import Final

from gateway.client.sending.content import Content, Signature
from gateway.errors import InvalidArgument
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.messages import Welcome
from gateway.protocol.sampling import MIN_BYTES, choose_chain
from gateway.protocol.wire import Buffer

AUTO: Final = "auto"

RESAMPLE_AFTER: Final = 64
"""Messages of one dtype and shape that are sent the same way before the next sample is taken."""


def parse_codec(codec: str) -> Chain | None:
    """The chain that a caller names, or None for ``auto``.

    Raises:
        InvalidArgument: no such codec or level.
    """
    return None if codec == AUTO else Chain.parse(codec)


def check_agreed(chain: Chain, welcome: Welcome) -> None:
    """Refuse a chain that the gateway cannot decode.

    Raises:
        InvalidArgument: it was not agreed on.
    """
    missing = chain.names.difference(welcome.codecs, welcome.filters)
    if missing:
        agreed = ", ".join((*welcome.codecs, *welcome.filters)) or "none"
        raise InvalidArgument(f"codec {chain} was not agreed on with the gateway; agreed are: {agreed}")


class CodecChoice:
    """The choice of one stream."""

    __slots__ = ("_chain", "_left", "_signature")

    def __init__(self) -> None:
        self._chain = PLAIN
        self._left = 0
        self._signature: Signature | None = None

    def known(self, content: Content) -> Chain | None:
        """What to send this message with, or None if :meth:`sample` has to find out first. Takes no time."""
        if content.payload_bytes < MIN_BYTES:
            return PLAIN
        if self._left > 0 and content.signature == self._signature:
            self._left -= 1
            return self._chain
        return None

    def sample(self, content: Content, welcome: Welcome) -> Chain:
        """Find out, up to 1 ms. Of several tensors the largest is taken to speak for all."""
        largest: Buffer = max(content.buffers, key=len)
        self._chain = choose_chain(largest, content.itemsize, welcome.codecs, welcome.filters)
        self._signature = content.signature
        self._left = RESAMPLE_AFTER - 1
        return self._chain
