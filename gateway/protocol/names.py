"""Rules of names: streams, patterns, client ids and addresses (spec sections 3.1 and 4).

Does not know the holders of names. Every ``check_*`` returns its argument, or refuses it with ``INVALID_NAME``.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import Code, RequestRefused
from gateway.ids import ClientId, StreamName
from gateway.protocol.arguments import check_type

MAX_STREAM_NAME_BYTES: Final = 255
MAX_CLIENT_ID_BYTES: Final = 128

AGENT_SCHEME: Final = "agent"
"""Scheme of ``agent:<client_id>``, the inbox of a client."""
GROUP_SCHEME: Final = "group"
"""Scheme of ``group:<name>``, one of the members of a group."""

DEAD_LETTER_ENDING: Final = ".dead"
"""Ending of the names of streams of dead letters (spec section 4.9). Only the gateway publishes to them."""

INSTANCE_MARK: Final = "--"
"""Mark in a ``client_id`` between the subject of a token and a name that tells the clients of one subject apart."""

# All allowed characters are ASCII, so that a length in characters is one in bytes.
_SEGMENT = r"(?!\.\.?(?:/|\Z))[A-Za-z0-9._-]+"
"""Segment of a name: not ``.`` nor ``..``, which clients of HTTP take out of a path before they send it."""
_STREAM_NAME = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})+")
_WORKFLOW = re.compile(_SEGMENT)
_CLIENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ENDING = r"(?:\.[A-Za-z0-9._-]+)?"
"""Ending of the names that a wildcard matches, such as ``.dead`` in ``*.dead``."""
_STAR = re.compile(rf"\*{_ENDING}")
_PATTERN = re.compile(rf"(?:(?:{_SEGMENT}|\*{_ENDING})/)+(?:{_SEGMENT}|\*\*?{_ENDING})|\*\*{_ENDING}")
_DIGEST_CHARS = 16
_SHOWN_NAME_CHARS = 80


def check_stream_name(name: str) -> StreamName:
    """Check a stream's name: two or more segments joined by ``/`` (spec section 4).

    Raises:
        RequestRefused: ``INVALID_NAME``.
        InvalidArgument: no string.
    """
    check_type("stream", name, str, "a stream is named by a string, '<workflow>/<name>'")
    if not is_stream_name(name):
        rule = (
            "two or more segments of letters, digits, '.', '_', '-' joined by '/', none '.' or '..', 255 bytes at most"
        )
        raise _invalid("stream name", name, rule)
    return StreamName(name)


def is_stream_name(name: str) -> bool:
    """Return whether a string follows the rule of stream names, as :func:`check_stream_name` checks it."""
    return len(name) <= MAX_STREAM_NAME_BYTES and _STREAM_NAME.fullmatch(name) is not None


def dead_letters_of(stream: StreamName) -> StreamName:
    """Return the name of the stream of a stream's dead letters: ``<stream>.dead`` (spec section 4.9).

    The end of a name that is too long for that is replaced by a digest of the name, so that no two streams share one.
    """
    if len(stream) + len(DEAD_LETTER_ENDING) <= MAX_STREAM_NAME_BYTES:
        return StreamName(stream + DEAD_LETTER_ENDING)
    digest = hashlib.sha256(stream.encode()).hexdigest()[:_DIGEST_CHARS]
    head = stream[: MAX_STREAM_NAME_BYTES - len(DEAD_LETTER_ENDING) - _DIGEST_CHARS - 1]
    # A name has at least two segments.
    head = f"{head}-" if "/" in head else f"{head}/"
    return StreamName(head + digest + DEAD_LETTER_ENDING)


def is_dead_letter_name(name: str) -> bool:
    """Return whether a stream name, or a pattern, names streams of dead letters only."""
    return name.endswith(DEAD_LETTER_ENDING)


def check_published_name(name: str) -> StreamName:
    """Check the name of a stream to which a client publishes.

    Raises:
        RequestRefused: ``INVALID_NAME``; or ``FORBIDDEN``, it is a stream of dead letters (spec section 4.9).
        InvalidArgument: no string.
    """
    stream = check_stream_name(name)
    if is_dead_letter_name(name):
        problem = f"{name} is a stream of dead letters, to which only the gateway publishes"
        raise RequestRefused(Code.FORBIDDEN, f"{problem}: use a name without that ending")
    return stream


def check_scope(name: str) -> str:
    """Check the scope of presence: a workflow, or a stream (spec section 16).

    Raises:
        RequestRefused: ``INVALID_NAME``.
        InvalidArgument: no string.
    """
    check_type("scope", name, str, "a scope is a string, '<workflow>' or '<workflow>/<name>'")
    if not is_stream_name(name) and not (len(name) <= MAX_STREAM_NAME_BYTES and _WORKFLOW.fullmatch(name)):
        raise _invalid("scope", name, "a workflow, or a stream '<workflow>/<name>'")
    return name


def streams_of(scope: str) -> str:
    """Return the pattern of the streams of a scope, by which permissions are asked."""
    return scope if "/" in scope else f"{scope}/**"


def check_client_id(client_id: str) -> ClientId:
    """Check a client's id (spec section 3.1).

    Raises:
        RequestRefused: ``INVALID_NAME``.
        InvalidArgument: no string.
    """
    check_type("client_id", client_id, str, "a client id is a string")
    if not is_client_id(client_id):
        rule = "letters, digits, '.', '_', '-', 128 at most, the first a letter or digit"
        raise _invalid("client id", client_id, rule)
    return ClientId(client_id)


def check_deleted(pattern: str) -> str:
    """Check the pattern of a DELETE: a stream, or a pattern of streams (spec section 4.11).

    Raises:
        RequestRefused: ``INVALID_NAME``. It proposes no other pattern, which would match more.
        InvalidArgument: no string.
    """
    check_type("pattern", pattern, str, "a pattern is one string, '<workflow>/*': delete once for each")
    check_pattern(pattern, hint=False)
    if is_address(pattern):
        raise RequestRefused(Code.INVALID_NAME, f"{pattern} is an address: only streams can be deleted")
    return pattern


def check_pattern(pattern: str, *, hint: bool = True) -> str:
    """Check the pattern of a SUBSCRIBE: a stream, a pattern of streams, or an address (spec sections 4 and 4.2).

    Args:
        pattern: the pattern.
        hint: whether the error may propose another pattern, which matches more.

    Raises:
        RequestRefused: ``INVALID_NAME``.
        InvalidArgument: no string.
    """
    check_type("pattern", pattern, str, "a pattern is one string, '<workflow>/*': subscribe once for each")
    if is_address(pattern):
        return check_address(pattern)
    if len(pattern) > MAX_STREAM_NAME_BYTES or not _PATTERN.fullmatch(pattern):
        rule = "a stream name in which a segment may be '*' or '*.ending', or the last one '**' or '**.ending'"
        meant = _meant_pattern(pattern) if hint and len(pattern) <= _SHOWN_NAME_CHARS else ""
        if _PATTERN.fullmatch(meant):
            rule += f": did you mean '{meant}'?"
        raise _invalid("pattern", pattern, rule)
    return pattern


def _meant_pattern(pattern: str) -> str:
    """Return what somebody may mean who names a workflow, or knows the patterns of a shell; it may be no pattern."""
    meant: list[str] = []
    for segment in pattern.split("/"):
        if "**" in segment:
            return "/".join([*meant, "**"])
        meant.append("*" if "*" in segment and not _STAR.fullmatch(segment) else segment)
    if len(meant) > 1:
        return "/".join(meant)
    return f"*{meant[0]}" if "*" in pattern else f"{pattern}/**"


def check_address(address: str) -> str:
    """Check a direct address: ``agent:<client_id>`` or ``group:<name>`` (spec section 4.1).

    Raises:
        RequestRefused: ``INVALID_NAME``.
        InvalidArgument: no string.
    """
    check_type("address", address, str, "an address is a string, 'agent:<client_id>' or 'group:<name>'")
    scheme, colon, holder = address.partition(":")
    if not colon or scheme not in (AGENT_SCHEME, GROUP_SCHEME) or not is_client_id(holder):
        raise _invalid("address", address, "'agent:<client_id>' or 'group:<name>'")
    return address


def is_address(name: str) -> bool:
    """Return whether ``name`` is meant as an address, valid or not: no stream name holds a colon."""
    return ":" in name


def is_group(address: str) -> bool:
    """Return whether a checked pattern or address names a group."""
    return address.startswith(f"{GROUP_SCHEME}:")


def split_address(address: str) -> tuple[str, str]:
    """Return the scheme (:data:`AGENT_SCHEME` or :data:`GROUP_SCHEME`) and the name of an address.

    Raises:
        RequestRefused: ``INVALID_NAME``.
        InvalidArgument: no string.
    """
    scheme, _, holder = check_address(address).partition(":")
    return scheme, holder


def workflow_of(name: str) -> str:
    """Return the workflow of a stream, a pattern or an address: the first segment of its name."""
    return name.partition("/")[0]


def inbox_of(client_id: str) -> str:
    """Return the address of a client's inbox."""
    return f"{AGENT_SCHEME}:{client_id}"


@dataclass(frozen=True, slots=True)
class Pattern:
    """Compiled pattern of stream names. Make one with :func:`compile_pattern`."""

    text: str
    _regex: re.Pattern[str] | None = field(default=None, repr=False)
    """None: the pattern has no wildcard and matches itself only."""

    @property
    def is_literal(self) -> bool:
        """True if the pattern matches one name only, so that a dict lookup can replace :meth:`matches`."""
        return self._regex is None

    def matches(self, name: str) -> bool:
        """Return whether the pattern matches the stream ``name``, which is a valid name."""
        if self._regex is None:
            return name == self.text
        return self._regex.fullmatch(name) is not None


def compile_pattern(pattern: str) -> Pattern:
    """Check and compile a pattern. An address matches itself only.

    Raises:
        RequestRefused: ``INVALID_NAME``.
        InvalidArgument: no string.
    """
    check_pattern(pattern)
    if "*" not in pattern:
        return Pattern(pattern)
    return Pattern(pattern, re.compile("/".join(map(_expression, pattern.split("/")))))


def _expression(segment: str) -> str:
    """Return the regular expression of one segment of a pattern.

    The expression of each segment but the last stops at the next "/", so that matching a name is quick.
    """
    ending = segment.lstrip("*")
    match len(segment) - len(ending):
        case 0:
            return re.escape(segment)
        case 1:
            return f"[^/]*{re.escape(ending)}" if ending else "[^/]+"
        case _:
            return f".*{re.escape(ending)}" if ending else ".+"


def is_client_id(value: str) -> bool:
    """Return whether a text is a valid ``client_id``, or the name of a group."""
    return len(value) <= MAX_CLIENT_ID_BYTES and _CLIENT_ID.fullmatch(value) is not None


def _invalid(what: str, value: str, rule: str) -> RequestRefused:
    shown = value if len(value) <= _SHOWN_NAME_CHARS else value[:_SHOWN_NAME_CHARS] + "..."
    return RequestRefused(Code.INVALID_NAME, f"{what} {shown!r} is not {rule}")
