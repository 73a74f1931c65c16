"""Exchange between one connection and one address: the requests and replies that are to be counted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Exchange:
    """Requests of one connection to one address, and replies to them, since they were last taken."""

    requests: int = 0
    request_bytes: int = 0
    replies: int = 0
    """Parts of replies."""
    reply_bytes: int = 0

    def asked(self, nbytes: int) -> None:
        """Count a request."""
        self.requests += 1
        self.request_bytes += nbytes

    def replied(self, nbytes: int) -> None:
        """Count a reply, or a part of one."""
        self.replies += 1
        self.reply_bytes += nbytes

    def take(self) -> tuple[int, int, int, int]:
        """Return requests and their bytes, replies and their bytes, and begin anew."""
        counted = self.requests, self.request_bytes, self.replies, self.reply_bytes
        self.requests = self.request_bytes = self.replies = self.reply_bytes = 0
        return counted
