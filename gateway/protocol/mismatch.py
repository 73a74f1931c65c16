"""Mismatches: refusals of a publisher that expects another kind or durability than a stream has (spec section 4.1).

The gateway and the SDK both make them, with the same text.
"""

from __future__ import annotations

from gateway.errors import Code, RequestRefused
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind


def kind_mismatch(stream: str, kind: Kind | None, asked: Kind, *, configured: bool = False) -> RequestRefused:
    """Return the refusal of a publisher that asks for kind ``asked`` of a stream of kind ``kind``.

    ``configured``: the configuration names the kind of a stream that there is not yet.
    """
    problem = f"stream {stream} is {'configured as' if configured else 'of'} kind {kind}, not {asked}"
    return RequestRefused(Code.KIND_MISMATCH, f"{problem}: publish with kind {kind}, or to another stream")


def durability_mismatch(
    stream: str, durability: Durability | None, asked: Durability, *, configured: bool = False
) -> RequestRefused:
    """Return the refusal of a publisher that asks for durability ``asked`` of a stream of durability ``durability``.

    ``configured``: the configuration names the durability of a stream that there is not yet.
    """
    problem = f"stream {stream} {'is configured with' if configured else 'has'} durability {durability}, not {asked}"
    advice = f"publish with durability {durability}, or to another stream"
    return RequestRefused(Code.DURABILITY_MISMATCH, f"{problem}: {advice}")
