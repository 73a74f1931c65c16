"""Rule of chunk sizes: larger chunks are tried where nobody waits for small ones.

Each chunk has a turn of a thread where it is encoded, and its part of the gateway's time. On a line with a rate no size
brings a message sooner, and urgent messages wait for a chunk that is under way: so larger ones are tried only for
encoded messages whose receivers are all near (decision 0027).
"""

from __future__ import annotations

from heapq import nlargest
from typing import Final

from gateway.connections.planning.context import Context, LargeStreamFacts
from gateway.connections.planning.knob import Knob, Measure, Site

LARGER_BYTES: Final = 2 * 1024 * 1024
"""Size that is tried: over loopback such a chunk takes some 2 ms."""

LEAST_BYTES: Final = 2 * LARGER_BYTES
"""Size from which a message is cut into several of these chunks."""

MOST: Final = 4
"""Streams that have larger chunks at a time: those of the largest messages."""


def chunk_sizes(context: Context) -> list[Measure]:
    """Return the streams whose publishers are advised to cut larger chunks."""
    if context.overloaded:
        return []
    fitting = [
        each for each in context.large_streams if each.encoded and each.near and each.payload_bytes >= LEAST_BYTES
    ]
    chosen = nlargest(MOST, fitting, key=lambda each: (bool(context.setting(site_of(each))), each.payload_bytes))
    return [Measure(site_of(each), LARGER_BYTES, each.workflow, _reason(each)) for each in chosen]


def site_of(facts: LargeStreamFacts) -> Site:
    """Return the site of the size of chunks of a stream, by one publisher."""
    return Site(Knob.CHUNK_SIZE, facts.stream, facts.peer)


def _reason(facts: LargeStreamFacts) -> str:
    mib = facts.payload_bytes / (1 << 20)
    return f"messages of {mib:.1f} MiB of {facts.stream} are encoded, and all of its receivers are near"
