"""Folders of the files that `make` builds for pages; a gateway without them serves the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Final

CLIENT: Final = Path(__file__).parents[1] / "client"
"""Place of ``frys.js`` and of its parts, which ``make js-client`` builds."""

DASHBOARD: Final = Path(__file__).parents[1] / "dashboard"
"""Place of the page and of the folder ``assets``, which ``make dashboard`` builds."""

INDEX: Final = "index.html"
"""Name of the page."""


def has_dashboard(folder: Path = DASHBOARD) -> bool:
    """Return whether the dashboard was built."""
    return (folder / INDEX).is_file()
