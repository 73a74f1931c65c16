"""Long text messages of ``frys.v1.json``, read in steps of some hundred microseconds (spec section 14).

The one legal thing in a text that may be large is the base64 of its tensors. It is cut out and decoded piece by piece;
the rest has a bound, and is parsed in one step. So a text that is large and no message is never parsed.

A string that is cut out is base64 between two quotes of which the first follows ``"data":``. Were that first quote the
end of another string, the base64 would stand outside of strings, where JSON has none. So the rest is JSON if and only
if the text is, and of the same structure.

Pure: the steps are generators, and the caller decides when the next one is taken.
"""

from __future__ import annotations

import binascii
import codecs
import re
from collections.abc import Generator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from gateway.errors import Code, RequestRefused
from gateway.protocol.json_body import BodyRefused, JsonBody
from gateway.protocol.json_message import DecodedData
from gateway.protocol.json_size import MAX_BODY_BYTES, MAX_OPEN_BYTES, check_containers
from gateway.protocol.json_text import OpcodeCheck, TextMessage, parse_text_body, read_text

Text = bytes | bytearray

SHORT_TEXT_BYTES: Final = MAX_BODY_BYTES
"""Size of the largest text that is read in one step: about a millisecond, whatever it contains."""

MAX_JSON_BYTES: Final = MAX_OPEN_BYTES
"""Most bytes of a text beside the base64 of its tensors (spec section 13). Headers, 255 names of 255 bytes, shapes, and
base64 that is too short to be cut out take 210 KiB at most, if they are written without spaces and escapes."""

_PIECE_BYTES: Final = 64 * 1024
"""Bytes of one step: some 100 µs when they are decoded."""
_MIN_CHARS: Final = 256
"""Length of the shortest base64 that is cut out."""
_MAX_CUTS: Final = 512
"""Most strings that are cut out: of 255 tensors, and headers have room for 250 of this length. Others count as text."""
_KEY: Final = b'"data"'
_OPENING: Final = re.compile(rb'"data"[ \t\r\n]{0,64}:[ \t\r\n]{0,64}"')
_LONGEST_ESCAPE: Final = 6


class _Cut(NamedTuple):
    """Base64 that is cut out of a text, from ``start`` to ``end``."""

    start: int
    end: int
    decoded: DecodedData


def read_long_text(text: Text, mark: str, check: OpcodeCheck = lambda _: None) -> Generator[None, None, TextMessage]:
    """Read a text message as :func:`~gateway.protocol.json_text.parse_text` does, in steps.

    Args:
        text: the message; must not change meanwhile.
        mark: stands for what is cut out. A text with a ``data`` that begins with it may be read wrongly, so no peer is
            to know it.
        check: as of ``parse_text``.

    Raises:
        ProtocolViolation: as ``parse_text``.
        RequestRefused: as ``parse_text``, and ``MESSAGE_TOO_BIG`` for more than :data:`MAX_JSON_BYTES` beside base64.
    """
    cuts = yield from _cuts_of(text)
    while True:
        if len(text) - sum(cut.end - cut.start for cut in cuts) > MAX_JSON_BYTES:
            raise _too_big(text, "")
        rest = _rest_of(text, cuts, mark)
        try:
            check_containers("text message", rest)
        except RequestRefused as error:
            raise BodyRefused(error.code, error.message, {}, more=False) from None
        body = parse_text_body(rest)
        used = _insert(body, cuts, mark)
        if len(used) == len(cuts):
            return read_text(body, len(text), check)
        # The others are in headers, for example, and so are strings like any other.
        cuts = used
        yield


def utf8_fault(text: Text) -> Generator[None, None, str | None]:
    """Return the reason why bytes are no UTF-8, ``None`` if they are; in steps."""
    at = 0
    while at < len(text):
        end = at + _PIECE_BYTES
        try:
            _, taken = codecs.utf_8_decode(text[at:end], "strict", end >= len(text))
        except UnicodeDecodeError as error:
            return f"a text message that is no UTF-8: {error.reason} at byte {at + error.start} of {len(text)}"
        at += taken
        yield
    return None


def _cuts_of(text: Text) -> Generator[None, None, list[_Cut]]:
    """Find and decode the base64 of a text; stop as soon as the rest is too large."""
    source = memoryview(text)
    cuts: list[_Cut] = []
    fault = ""
    cut_bytes = at = 0
    while at < len(text) and len(cuts) < _MAX_CUTS:
        if at - cut_bytes > MAX_JSON_BYTES:
            raise _too_big(text, fault)
        found = text.find(_KEY, at, at + _PIECE_BYTES)
        if found < 0:
            at += _PIECE_BYTES - len(_KEY) + 1
            yield
            continue
        at = found + len(_KEY)
        opening = _OPENING.match(text, found)
        if opening is not None:
            start = opening.end()
            end = text.find(b'"', start)
            if end - start >= _MIN_CHARS:
                decoded = yield from _decoded(source[start:end])
                if isinstance(decoded, DecodedData):
                    cuts.append(_Cut(start, end, decoded))
                    cut_bytes += end - start
                elif not fault:
                    fault = f"; data at byte {start} is no base64: {decoded}"
                at = end
        yield
    return cuts


def _decoded(text: memoryview) -> Generator[None, None, DecodedData | str]:
    """Decode base64 that is the text of a JSON string; return the reason if it is none."""
    # Not zeroed, unlike a bytearray: only bytes that are decoded are used.
    decoded = np.empty(len(text) // 4 * 3, np.uint8).data
    carried = b""
    at = size = chars = 0
    while at < len(text):
        piece = bytes(text[at : at + _PIECE_BYTES])
        at += len(piece)
        last = at == len(text)
        if b"\\" in piece:  # some writers escape every slash
            begun = -1 if last else piece.rfind(b"\\", 1 - _LONGEST_ESCAPE)
            if begun >= 0:
                at -= len(piece) - begun
                piece = piece[:begun]
            try:
                piece = orjson.loads(b'"%b"' % piece).encode()
            except orjson.JSONDecodeError as error:
                return str(error)
        piece = carried + piece
        whole = len(piece) if last else len(piece) & ~3
        carried = piece[whole:]
        try:
            found = binascii.a2b_base64(piece[:whole], strict_mode=True)
        except ValueError as error:
            return str(error)
        if not last and len(found) * 4 != whole * 3:
            return "padding in its middle"
        decoded[size : size + len(found)] = found
        size += len(found)
        chars += whole
        yield
    return DecodedData(chars, decoded[:size])


def _rest_of(text: Text, cuts: Sequence[_Cut], mark: str) -> bytes:
    """Return a text with a short string in place of each that is cut out."""
    parts: list[Text] = []
    at = 0
    for number, cut in enumerate(cuts):
        parts += [text[at : cut.start], f"{mark}{number}".encode()]
        at = cut.end
    return b"".join([*parts, text[at:]])


def _insert(body: JsonBody, cuts: Sequence[_Cut], mark: str) -> list[_Cut]:
    """Give the tensors of a text their decoded data; return what they have used, in order."""
    numbers = {f"{mark}{number}": number for number in range(len(cuts))}
    used = []
    for tensor in _tensors_of(body.get("payload")):
        data = tensor.get("data")
        number = numbers.pop(data, None) if isinstance(data, str) else None
        if number is not None:
            tensor["data"] = cuts[number].decoded
            used.append(number)
    return [cuts[number] for number in sorted(used)]


def _tensors_of(payload: object) -> list[dict[str, Any]]:
    """Return those objects of a payload that are its tensors, if it has any."""
    if not isinstance(payload, dict):
        return []
    named = payload.get("tensors")
    found = [payload] if named is None else list(named.values()) if isinstance(named, dict) else []
    return [tensor for tensor in found if isinstance(tensor, dict)]


def _too_big(text: Text, fault: str) -> BodyRefused:
    problem = f"a text of {len(text)} bytes has more than {MAX_JSON_BYTES} beside the base64 of its tensors{fault}"
    remedy = "send numbers as data of tensors, without line breaks"
    # It may have been a part of a SUBSCRIBE.
    return BodyRefused(Code.MESSAGE_TOO_BIG, f"{problem}: {remedy}", {}, more=False)
