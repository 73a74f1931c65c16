"""Presence: members of scopes, and their awareness, as session messages (spec section 16).

Field names are those of the JSON, as in :mod:`gateway.protocol.messages`.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import orjson

from gateway.errors import Code, RequestRefused
from gateway.protocol.json_body import EXACT_MAX, U32_MAX, JsonBody
from gateway.protocol.wire import Opcode

MAX_METADATA_BYTES: Final = 4096
"""Bytes of the metadata of a member, as JSON without spaces (spec section 13)."""

MAX_AWARENESS_BYTES: Final = 1024
"""Bytes of the awareness of a member, as JSON without spaces (spec section 13)."""


class Watching(enum.StrEnum):
    """Part of a scope that a client watches (spec section 16.1)."""

    MEMBERS = "members"
    """The roster, and every change to it."""
    COUNT = "count"
    """The number of members."""


@dataclass(frozen=True, slots=True)
class Attend:
    """Part that a connection takes in a scope from now on; with neither field it has none (spec section 16.1)."""

    opcode: ClassVar = Opcode.ATTEND

    request: int
    scope: str
    metadata: Mapping[str, Any] | None = None
    """The client is a member with this metadata; ``None``: it is none."""
    watch: Watching | None = None
    """Changes that the connection is told; ``None``: none."""


@dataclass(frozen=True, slots=True)
class Attending:
    """Answer to :class:`Attend` (spec section 16.1)."""

    opcode: ClassVar = Opcode.ATTENDING

    request: int
    scope: str
    count: int
    """Members of the scope."""


@dataclass(frozen=True, slots=True)
class Awareness:
    """Short-lived state of the sender, which is a member of the scope (spec section 16.3)."""

    opcode: ClassVar = Opcode.AWARENESS

    scope: str
    state: Mapping[str, Any] | None = None
    """The state; ``None``: there is none any more."""


@dataclass(frozen=True, slots=True)
class PresentMember:
    """Member of a scope, as MEMBERS describes it (spec section 16.2)."""

    client_id: str
    client_type: str
    peer: int
    """Number of its connection, which its messages name as their publisher."""
    generation: int
    """Generation of its program: another one is another program with the same ``client_id``."""
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Members:
    """Roster of a scope, or changes to it, for those that watch it (spec section 16.2).

    Its parts apply in the order ``left``, ``members``, ``awareness``.
    """

    opcode: ClassVar = Opcode.MEMBERS

    scope: str
    count: int
    members: Sequence[PresentMember | orjson.Fragment] | None = None
    """Members that have joined or changed; the gateway writes each once, and gives it as a fragment."""
    awareness: Mapping[str, Mapping[str, Any] | orjson.Fragment | None] | None = None
    """New states by ``client_id``; ``None``: there is none any more."""
    left: Sequence[str] | None = None
    """Clients that are members no more."""
    roster: bool | None = None
    """True: what was told before is void, and the roster begins anew."""
    more: bool | None = None
    """True: another part follows, and only with it the members are complete."""


PresenceMessage = Attend | Attending | Awareness | Members


def json_of(what: str, value: Mapping[str, Any], limit_bytes: int) -> bytes:
    """Return metadata or a state as JSON without spaces.

    Raises:
        RequestRefused: ``MESSAGE_TOO_BIG``, it has more than ``limit_bytes``; ``INVALID_REQUEST``, it is no JSON.
    """
    try:
        written = orjson.dumps(value)
    except (TypeError, orjson.JSONEncodeError) as error:
        raise RequestRefused(Code.INVALID_REQUEST, f"{what} is no JSON: {error}") from None
    if len(written) > limit_bytes:
        raise RequestRefused(Code.MESSAGE_TOO_BIG, f"{what} has {len(written)} bytes of JSON, more than {limit_bytes}")
    return trimmed(written)


def trimmed(written: bytes) -> bytes:
    """Return a copy of what orjson has written, to be kept: the original has 4 KB of room behind it (orjson 3.13)."""
    return bytes(memoryview(written))


def read_attend(body: JsonBody) -> Attend:
    """Read the body of ATTEND."""
    return Attend(
        request=body.integer("request", EXACT_MAX),
        scope=body.text("scope"),
        metadata=body.mapping_or_none("metadata"),
        watch=body.choice_or_none("watch", Watching),
    )


def read_attending(body: JsonBody) -> Attending:
    """Read the body of ATTENDING."""
    return Attending(body.integer("request", EXACT_MAX), body.text("scope"), body.integer("count", EXACT_MAX))


def read_awareness(body: JsonBody) -> Awareness:
    """Read the body of AWARENESS."""
    return Awareness(body.text("scope"), body.mapping_or_none("state"))


def read_members(body: JsonBody) -> Members:
    """Read the body of MEMBERS."""
    awareness = body.nested("awareness") if "awareness" in body else None
    return Members(
        scope=body.text("scope"),
        count=body.integer("count", EXACT_MAX),
        members=tuple(map(_read_member, body.objects("members"))) if "members" in body else None,
        awareness=None
        if awareness is None
        else {name: awareness.mapping_or_none(name) for name, _ in awareness.items()},
        left=body.texts("left") if "left" in body else None,
        roster=body.boolean_or_none("roster"),
        more=body.boolean_or_none("more"),
    )


def _read_member(body: JsonBody) -> PresentMember:
    return PresentMember(
        client_id=body.text("client_id"),
        client_type=body.text("client_type"),
        peer=body.integer("peer", U32_MAX),
        generation=body.integer("generation", EXACT_MAX),
        metadata=body.mapping_or_none("metadata") or {},
    )
