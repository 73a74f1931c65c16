"""Prepared publish: the parts that messages of one stream share while their arrays and options look alike.

Most messages of a stream are like the one before: the same dtype, shape and options. Their meta block, header and
checks are made once (:mod:`gateway.client.sending.stream_send_queue`); all others go the general way, which gives the
same frames. The module knows how a publish is laid out and framed, and must not know when it may be sent.
"""

from __future__ import annotations

from operator import is_
from typing import Final, NamedTuple

import numpy as np

from gateway.client.options import Progress
from gateway.client.sending.alias import Alias
from gateway.client.sending.codec_choice import parse_codec
from gateway.client.sending.content import Content, Headers
from gateway.client.sending.declaration import Declaration, SchemaLike
from gateway.protocol.encoding import Chain
from gateway.protocol.tensors import payload_buffers
from gateway.protocol.wire import ALIGNMENT, DATA_HEADER, FLAG_ACK, PADDING, Buffer, Opcode

_MESSAGE: Final = int(Opcode.MESSAGE)


class PublishOptions(NamedTuple):
    """Keyword arguments of :meth:`gateway.client.client.Client.publish`, which explains them."""

    kind: str | None
    durability: str | None
    headers: Headers
    codec: str
    progress: Progress | None
    timeout_s: float | None
    region: object
    tensor: str | None
    schema: SchemaLike
    expires_in_s: float | None

    @property
    def repeatable(self) -> bool:
        """Whether the options say the same of a later message: a program may change headers and a schema in place."""
        _, _, headers, _, progress, _, region, tensor, schema, expires_in_s = self
        return all(option is None for option in (headers, progress, region, tensor, schema, expires_in_s))


class PreparedMessage:
    """Parts of a message of one array that those which look alike share, under one alias.

    Args:
        content: content of such a message.
        flags: 0, or ACK.
        declaration: properties of the stream that the messages declare.
        alias: alias under which it was sent.

    Attributes:
        alias: see above.
        declaration: see above.
        meta: meta block.
        head_bytes: bytes of header and meta block.
        padding: bytes behind the payload.
    """

    __slots__ = ("_fields", "alias", "declaration", "head_bytes", "meta", "padding")

    def __init__(self, content: Content, flags: int, declaration: Declaration, alias: Alias) -> None:
        self.alias = alias
        self.declaration = declaration
        self.meta = meta = content.meta
        self.head_bytes = DATA_HEADER.size + len(meta)
        frame_bytes = self.head_bytes + content.payload_bytes
        self._fields = frame_bytes, _MESSAGE, flags, len(meta) // ALIGNMENT, alias.number, 0
        self.padding = PADDING[-frame_bytes % ALIGNMENT]

    def head(self, sequence: int, timestamp_ns: int) -> bytes:
        """Return header and meta block of the data frame (spec section 5)."""
        return DATA_HEADER.pack(*self._fields, sequence, timestamp_ns) + self.meta

    def frame(self, payload: Buffer, sequence: int, timestamp_ns: int) -> bytes:
        """Return the data frame with its padding."""
        return b"".join((self.head(sequence, timestamp_ns), payload, self.padding))


class PreparedPublish(PreparedMessage):
    """Parts of an acknowledged publish that those which look alike share, under one alias.

    Args:
        content: content of a publish of one array.
        options: its options, which are repeatable.
        declaration: properties of the stream that they declare.
        alias: alias under which it was sent.

    Attributes:
        chain: codec chain that the options name; None: automatic.
    """

    __slots__ = ("_content", "_dtype", "_options", "_shape", "chain")

    def __init__(
        self,
        content: Content,
        options: PublishOptions,
        declaration: Declaration,
        alias: Alias,
    ) -> None:
        super().__init__(content, FLAG_ACK, declaration, alias)
        self._content = content._replace(buffers=[])
        ((self._dtype, self._shape),) = content.signature
        self._options = options
        self.chain: Chain | None = parse_codec(options.codec)

    def content(self, value: object, options: PublishOptions) -> Content | None:
        """Return the content of a publish that looks like this one; None if it does not."""
        if (
            type(value) is np.ndarray
            and value.dtype is self._dtype
            and value.shape == self._shape
            and value.flags.c_contiguous
            and all(map(is_, options, self._options))
        ):
            meta, _, payload_bytes, element, signature = self._content
            # As parse_data does: the named tuple's own __new__ takes longer.
            return tuple.__new__(Content, (meta, payload_buffers((value,)), payload_bytes, element, signature))
        return None

    def joined(self, payload: Buffer, sequence: int, timestamp_ns: int) -> bytes | None:
        """Return the data frame with its padding; None if another thread has changed the payload meanwhile."""
        frame = self.frame(payload, sequence, timestamp_ns)
        return frame if frame.startswith(payload, self.head_bytes) else None
