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
    return RequestRefused(Code.KIND_MISMATCH, f"{problem}: {_advice(stream, f'kind {kind}', configured)}")


def durability_mismatch(
    stream: str, durability: Durability | None, asked: Durability, *, configured: bool = False
) -> RequestRefused:
    """Return the refusal of a publisher that asks for durability ``asked`` of a stream of durability ``durability``.

    ``configured``: the configuration names the durability of a stream that there is not yet.
    """
    problem = f"stream {stream} {'is configured with' if configured else 'has'} durability {durability}, not {asked}"
    advice = _advice(stream, f"durability {durability}", configured)
    return RequestRefused(Code.DURABILITY_MISMATCH, f"{problem}: {advice}")


def _advice(stream: str, fitting: str, configured: bool) -> str:
    """Return the remedies; to delete a stream does not help where the configuration decides."""
    if configured:
        return f"publish with {fitting}, or to another stream"
    return f"publish with {fitting}, or to another stream, or delete this one first (frys rm {stream})"
