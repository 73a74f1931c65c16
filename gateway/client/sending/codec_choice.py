"""Codec choice: the codec chain for the messages of one stream.

``auto`` samples a payload now and then (``gateway.protocol.sampling``) and keeps to the answer in between.
"""

from __future__ import annotations

from typing import Final

from gateway.client.sending.content import Content, Signature
from gateway.errors import InvalidArgument
from gateway.protocol.arguments import check_text
from gateway.protocol.codecs.registry import DELTAS, FILTERS, NONE
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.messages import Welcome
from gateway.protocol.sampling import MIN_BYTES, choose_chain
from gateway.protocol.wire import Buffer

AUTO: Final = "auto"

RESAMPLE_AFTER: Final = 64
"""Messages of one dtype and shape that are sent alike before the next sample is taken."""
RESAMPLE_BYTES: Final = 64 * 1024 * 1024
"""Payload between two samples up to which the number of messages doubles while no sample pays."""


def parse_codec(codec: str) -> Chain | None:
    """Return the chain that a caller names, or None for ``auto``.

    Raises:
        InvalidArgument: there is no such codec or level.
    """
    if check_text("codec", codec, f"a codec is {AUTO!r}, or a chain such as 'shuffle+zstd:3'") == AUTO:
        return None
    try:
        return Chain.parse(codec)
    except InvalidArgument as error:
        raise InvalidArgument(f"{error} (or {AUTO!r}, or a chain such as 'shuffle+zstd:3')") from None


def check_agreed(chain: Chain, welcome: Welcome) -> None:
    """Raise for a chain that the gateway cannot decode.

    Raises:
        InvalidArgument: a codec or filter of it was not agreed on.
    """
    missing = chain.names.difference(welcome.codecs, welcome.filters)
    if missing:
        filters = [name for name in welcome.filters if name in FILTERS and name not in DELTAS]
        usable = ", ".join([*welcome.codecs, *filters, NONE.name])
        raise InvalidArgument(
            f"codec {chain}: the gateway takes no {', '.join(sorted(missing))}, which its configuration has turned off"
            f" ([codecs]) or its version does not know; a publish may use {usable}"
        )


class CodecChoice:
    """Codec chain that the sample of one stream has chosen, until the next sample."""

    __slots__ = ("_chain", "_interval", "_left", "_signature")

    def __init__(self) -> None:
        self._chain = PLAIN
        self._left = 0
        self._interval = RESAMPLE_AFTER
        self._signature: Signature | None = None

    def known(self, content: Content) -> Chain | None:
        """Return the chain for this message, or None if :meth:`sample` has to choose first. Costs next to nothing."""
        if content.payload_bytes < MIN_BYTES:
            return PLAIN
        if self._left > 0 and content.signature == self._signature:
            self._left -= 1
            return self._chain
        return None

    def plain(self, content: Content) -> bool:
        """Return whether :meth:`known` is that this message is sent as it is, and count it in that case only."""
        if content.payload_bytes < MIN_BYTES:
            return True
        return not self._chain.names and self.known(content) is not None

    def sample(self, content: Content, welcome: Welcome) -> Chain:
        """Sample the message and return its chain, in up to 1 ms. The largest of several tensors speaks for all."""
        largest: Buffer = max(content.buffers, key=len)
        chain = choose_chain(largest, content.element, welcome.codecs, welcome.filters)
        self._interval = self._next_interval(content, chain)
        self._chain, self._signature = chain, content.signature
        self._left = self._interval - 1
        return self._chain

    def _next_interval(self, content: Content, chain: Chain) -> int:
        if content.signature != self._signature or chain.names or self._chain.names:
            return RESAMPLE_AFTER
        return max(RESAMPLE_AFTER, min(2 * self._interval, RESAMPLE_BYTES // content.payload_bytes))
