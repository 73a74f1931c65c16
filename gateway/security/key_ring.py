"""Key ring: the keys of tokens as their file has them now, so that they are replaced without a restart."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Final

from gateway.errors import InvalidArgument
from gateway.security.token_key import TokenKey, read_keys

logger = logging.getLogger(__name__)

REREAD_S: Final = 10.0
"""Shortest time between two looks at the file: tokens that name unknown keys would have it read each time."""
MAX_KEY_FILE_BYTES: Final = 256 * 1024


class KeyRing:
    """Keys of tokens, by name.

    Args:
        place: ``file:PATH`` or ``env:NAME``, as in :class:`~gateway.security.settings.SecuritySettings`.
        now_s: monotonic time.

    Attributes:
        generation: number of changes; what has been verified by earlier keys is to be verified again.

    Raises:
        InvalidArgument: the keys cannot be read.
    """

    def __init__(self, place: str, now_s: float) -> None:
        kind, _, name = place.partition(":")
        self._place = place
        self._path = Path(name).expanduser() if kind == "file" else None
        self._text = ""
        self._failure = ""
        self._looked_s = now_s
        self.generation = 0
        try:
            self._text = os.environ.get(name, "") if self._path is None else _read(self._path)
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidArgument(f"security.keys {place} cannot be read: {_reason_of(error)}") from None
        if not self._text:
            raise InvalidArgument(f"security.keys {place} is empty: put a JWK set there (frys keys generate)")
        self._keys = read_keys(self._text, f"security.keys {place}")

    def find(self, kid: str | None, now_s: float) -> TokenKey | None:
        """Return the key of a token; look at the file once more for a name that is unknown, unless it was just read.

        Args:
            kid: name in the header of the token; ``None``: it names none.
            now_s: monotonic time.
        """
        key = self._named(kid)
        if key is None and self.look(now_s):
            key = self._named(kid)
        return key

    def holds(self, key: TokenKey) -> bool:
        """Return whether a key is one of them."""
        return self._keys.get(key.kid) == key

    def look(self, now_s: float) -> bool:
        """Look whether the file holds other keys, if it is time; return whether it did.

        A file that cannot be read, or holds no keys, leaves those of before: it may be in the middle of a write.
        """
        if self._path is None or now_s - self._looked_s < REREAD_S:
            return False
        self._looked_s = now_s
        try:
            text = _read(self._path)
            if text == self._text:
                self._failure = ""
                return False
            keys = read_keys(text, f"security.keys {self._place}")
        except (OSError, UnicodeDecodeError, InvalidArgument) as error:
            failure = str(error) if isinstance(error, InvalidArgument) else _reason_of(error)
            if failure != self._failure:
                logger.warning("the keys of %s stay as they were: %s", self._place, failure)
            self._failure = failure
            return False
        self._text, self._keys, self._failure = text, keys, ""
        self.generation += 1
        logger.info("%s has other keys now: %s", self._place, ", ".join(str(name) for name in keys))
        return True

    def _named(self, kid: str | None) -> TokenKey | None:
        only = self._keys.get(None)
        if only is not None:
            return only  # a key without a name is alone, and verifies tokens of any name
        if kid is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(kid)


def _read(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(MAX_KEY_FILE_BYTES + 1)
    if len(data) > MAX_KEY_FILE_BYTES:
        raise InvalidArgument(f"{path} has more than {MAX_KEY_FILE_BYTES} bytes: it is no file of keys")
    return data.decode()


def _reason_of(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "it is no text"
