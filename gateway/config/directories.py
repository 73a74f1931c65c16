"""Directories of the settings: whether a gateway can write to one, found out without a touch."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.errors import InvalidArgument


def check_directory(key: str, path: Path) -> None:
    """Check that a directory can be written, or made if there is none.

    Args:
        key: the setting that names it, for the message.
        path: the directory.

    Raises:
        InvalidArgument: it is no directory, or this user may not write it.
    """
    nearest = next(each for each in (path, *path.absolute().parents) if os.path.lexists(each))
    if not nearest.is_dir():
        raise InvalidArgument(f"{key} {path}: {nearest} is not a directory: name one, or a path where one can be made")
    if not os.access(nearest, os.W_OK | os.X_OK):
        problem = f"{key} {path}: this user may not write {nearest}"
        raise InvalidArgument(f"{problem}: name another directory, or let the user of the gateway write there")
