"""Types of the ids and counters that travel through every layer."""

from typing import NewType

ClientId = NewType("ClientId", str)
"""Name of a client; letters, digits, ``.``, ``_``, ``-``."""

StreamName = NewType("StreamName", str)
"""``<workflow>/<name>``."""

StreamId = NewType("StreamId", int)
"""The server's number for a stream, the same on all connections (u32)."""

PeerId = NewType("PeerId", int)
"""The server's number for a connection (u32, from 1)."""

Offset = NewType("Offset", int)
"""Position of a message in its stream (u64, one more for each message)."""

Epoch = NewType("Epoch", int)
"""Incarnation of a stream; below 2**53 so that JavaScript reads it exactly."""

Sequence = NewType("Sequence", int)
"""A publisher's count of its messages to one alias (u64, from 1)."""

Correlation = NewType("Correlation", int)
"""An asker's number for an outstanding request (u64)."""
