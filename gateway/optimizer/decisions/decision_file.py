"""Decision file: the decision table of a gateway on disk, beside its traffic history. Read and written by threads."""

from __future__ import annotations

import contextlib
import logging
import secrets
from pathlib import Path
from typing import Final

from gateway.optimizer.decisions.decision_table import MAX_TEXT_BYTES, BadTable, DecisionTable

logger = logging.getLogger(__name__)

NAME: Final = "decisions.json"
"""Name of the file."""
ASIDE: Final = "decisions.json.corrupt"
"""Name of one that was set aside, in place of any before."""


class DecisionFile:
    """File of one gateway.

    Args:
        directory: that of the traffic history; made if it is missing.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def path(self) -> Path:
        """Path of the file."""
        return self._directory / NAME

    def kept(self) -> DecisionTable:
        """Return the table.

        Raises:
            BadTable: the file holds something else.
            OSError: it is missing, or cannot be read.
        """
        with self.path.open("rb") as file:
            return DecisionTable.from_json(file.read(MAX_TEXT_BYTES + 1))

    def read(self) -> DecisionTable:
        """Return the table; an empty one if there is none. A file that holds no table is set aside, with a warning."""
        try:
            return self.kept()
        except FileNotFoundError:
            return DecisionTable()
        except BadTable as error:
            with contextlib.suppress(OSError):
                self.path.replace(self._directory / ASIDE)
            aside = f"it is set aside as {ASIDE}, and learning starts anew"
            logger.warning("the decisions in %s cannot be read: %s; %s", self.path, error, aside)
        except OSError as error:
            logger.warning("the decisions in %s cannot be read: %s; learning starts anew", self.path, error.strerror)
        return DecisionTable()

    def write(self, table: DecisionTable) -> None:
        """Write a table in place of the one before, as a whole or not at all.

        Raises:
            OSError: it cannot be written.
        """
        # Gateways of two containers may have one process id, and so may a stop beside a thread that still writes.
        part = self._directory / f"{NAME}.{secrets.token_hex(8)}.part"
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            part.write_bytes(table.to_json())
            part.replace(self.path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise
