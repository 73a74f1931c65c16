"""Messages between the gateway and the process that tries chains: a request and its answer, one line of JSON each.

A line is shorter than a pipe writes at once, so that it is there as a whole or not at all.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final

from gateway.optimizer.child_process import MISREAD, BadMessage
from gateway.optimizer.history.record import TriedChain
from gateway.protocol.encoding import PLAIN

MAX_LINE_BYTES: Final = 4096
"""Longest line: the bytes that POSIX has a pipe write at once on Linux."""
MAX_ERROR: Final = 250
"""Characters of a reason that are told, of six bytes each at most."""


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
    """Chains to try, in this order."""
    longest_s: float
    """CPU time after which no further one is tried."""

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
                float(fields["longest_s"]),
            )
        except MISREAD as error:
            raise BadMessage(f"no request for a trial: {line[:80]!r}") from error


@dataclass(frozen=True, slots=True)
class TrialAnswer:
    """Answer to a request."""

    slot: int
    """Slot of the sample, which is empty again."""
    cpu_s: float
    """CPU time of the trial."""
    tried: tuple[TriedChain, ...]
    """Outcome of each chain that has not failed."""
    failed: tuple[str, ...] = ()
    """Chains that have failed."""
    error: str = ""
    """Reason for which the first of them has failed, or the whole trial; empty: nothing has."""

    @property
    def says_something(self) -> bool:
        """True if there is an outcome of a chain that encodes, or there was none to try."""
        return any(each.chain != str(PLAIN) for each in self.tried) or not self.error

    def line(self) -> bytes:
        """Return the line."""
        tried = [[each.chain, each.encoded_bytes, each.encode_s, each.decode_s] for each in self.tried]
        fields = {"slot": self.slot, "cpu_s": self.cpu_s, "tried": tried, "failed": self.failed}
        return json.dumps({**fields, "error": self.error[:MAX_ERROR]}).encode() + b"\n"

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
            failed = tuple([str(chain) for chain in fields["failed"]])
            return cls(int(fields["slot"]), float(fields["cpu_s"]), tuple(tried), failed, str(fields["error"]))
        except MISREAD as error:
            raise BadMessage(f"no answer to a request for a trial: {line[:80]!r}") from error
