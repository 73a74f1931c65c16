"""Messages between the gateway and the process that tries chains: a request and its answer, one line of JSON each.

A line is shorter than a pipe writes at once, so that it is there as a whole or not at all.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final

from gateway.optimizer.history.record import TriedChain

MAX_LINE_BYTES: Final = 4096
"""Longest line: the bytes that POSIX has a pipe write at once on Linux."""


class BadMessage(Exception):
    """Line that neither side writes."""


@dataclass(frozen=True, slots=True)
class TrialRequest:
    """Request to try chains on a sample."""

    slot: int
    """Slot of the sample."""
    sample_bytes: int
    """Size of the sample."""
    base_bytes: int
    """Size of its previous version, which stands behind it: the same, or 0."""
    dtype: str
    """Dtype of the elements."""
    chains: tuple[str, ...]
    """Chains to try."""

    def line(self) -> bytes:
        """Return the line."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> TrialRequest:
        """Return the request of a line.

        Raises:
            BadMessage: it is none.
        """
        try:
            fields = json.loads(line)
            return cls(
                int(fields["slot"]),
                int(fields["sample_bytes"]),
                int(fields["base_bytes"]),
                str(fields["dtype"]),
                tuple([str(chain) for chain in fields["chains"]]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise BadMessage(f"no request for a trial: {line[:80]!r}") from error


@dataclass(frozen=True, slots=True)
class TrialAnswer:
    """Answer to a request."""

    slot: int
    """Slot of the sample, which is empty again."""
    cpu_s: float
    """CPU time of the trial."""
    tried: tuple[TriedChain, ...]
    """Outcome of each chain; of a trial that has failed, of those before."""
    error: str = ""
    """Reason for which the trial has failed; empty: it has not."""

    def line(self) -> bytes:
        """Return the line."""
        tried = [[each.chain, each.encoded_bytes, each.encode_s, each.decode_s] for each in self.tried]
        fields = {"slot": self.slot, "cpu_s": self.cpu_s, "tried": tried, "error": self.error[:500]}
        return json.dumps(fields).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> TrialAnswer:
        """Return the answer of a line.

        Raises:
            BadMessage: it is none.
        """
        try:
            fields = json.loads(line)
            tried = [
                TriedChain(str(chain), int(encoded_bytes), float(encode_s), float(decode_s))
                for chain, encoded_bytes, encode_s, decode_s in fields["tried"]
            ]
            return cls(int(fields["slot"]), float(fields["cpu_s"]), tuple(tried), str(fields["error"]))
        except (ValueError, KeyError, TypeError) as error:
            raise BadMessage(f"no answer to a request for a trial: {line[:80]!r}") from error
