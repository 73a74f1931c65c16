"""Revocations: tokens that count no more, though they have not expired; read from a file that may change."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any, Final, TypeGuard

from gateway.errors import InvalidArgument

logger = logging.getLogger(__name__)

MAX_FILE_BYTES: Final = 1024 * 1024
MAX_ID_CHARS: Final = 256
"""Longest ``jti``, and subject, that a line may name."""


class Revocations:
    """Tokens that are revoked: by their ``jti``, or all of a subject that were issued before a time.

    Args:
        path: the file, with one JSON object a line: ``{"jti": "..."}``, ``{"sub": "..."}``, or
            ``{"sub": "...", "before": 1800000000}``. Empty: nothing is revoked.

    Attributes:
        generation: number of changes.

    Raises:
        InvalidArgument: the file cannot be read.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path).expanduser() if path else None
        self._seen: tuple[int, int, int] | None = None
        self._failure = ""
        self._ids: frozenset[str] = frozenset()
        self._subjects: dict[str, float] = {}
        """Unix time before which the tokens of a subject are revoked, by subject."""
        self.generation = 0
        if self._path is not None:
            try:
                self._seen = _state_of(self._path)
                self._ids, self._subjects = _read(self._path)
            except (OSError, UnicodeDecodeError) as error:
                raise InvalidArgument(f"security.revoked {path} cannot be read: {error}") from None

    def look(self) -> None:
        """Read the file again if it was changed. One that is gone or damaged leaves what was revoked before."""
        if self._path is None:
            return
        try:
            state = _state_of(self._path)
            if state == self._seen:
                return
            self._seen = state
            self._ids, self._subjects = _read(self._path)
        except (OSError, UnicodeDecodeError, InvalidArgument) as error:
            self._seen = None
            if str(error) != self._failure:
                logger.warning("what is revoked stays as it was: %s", error)
            self._failure = str(error)
            return
        self._failure = ""
        self.generation += 1
        logger.info("revoked are %d tokens, and tokens of %d subjects", len(self._ids), len(self._subjects))

    def is_revoked(self, token_id: str | None, subject: str, issued_at: float | None) -> bool:
        """Return whether a token is revoked.

        Args:
            token_id: its ``jti``.
            subject: its subject.
            issued_at: Unix time at which it was issued; ``None``: it does not say, and counts as issued long ago.
        """
        before = self._subjects.get(subject)
        return token_id in self._ids or (before is not None and (issued_at is None or issued_at < before))


def _state_of(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: Path) -> tuple[frozenset[str], dict[str, float]]:
    with path.open("rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise InvalidArgument(f"{path} has more than {MAX_FILE_BYTES} bytes: remove tokens that have expired")
    ids: set[str] = set()
    subjects: dict[str, float] = {}
    for number, line in enumerate(data.decode().splitlines(), 1):
        if not line.strip():
            continue
        entry = _entry_of(line)
        token_id, subject, before = entry.get("jti"), entry.get("sub"), entry.get("before", math.inf)
        if _is_name(token_id) and len(entry) == 1:
            ids.add(token_id)
        elif _is_name(subject) and _is_time(before) and entry.keys() <= {"sub", "before"}:
            subjects[subject] = max(float(before), subjects.get(subject, 0.0))
        else:
            example = '{"jti": "..."}, or {"sub": "...", "before": UNIX_TIME}'
            raise InvalidArgument(f"line {number} of {path} is neither {example}")
    return frozenset(ids), subjects


def _entry_of(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) else {}


def _is_name(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= MAX_ID_CHARS


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
