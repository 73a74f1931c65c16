"""Browser of the user, in which a command opens a page."""

from __future__ import annotations

import sys
import threading
import webbrowser
from collections.abc import Mapping
from typing import Final

DISPLAYS: Final = ("DISPLAY", "WAYLAND_DISPLAY")
"""Variables of the environment that name a display."""


def has_display(environment: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Return whether windows can be shown, as far as the environment tells."""
    return platform == "darwin" or any(environment.get(name) for name in DISPLAYS)


def open_page(url: str) -> None:
    """Open a page in the user's browser, beside the program; nothing happens if that has none with a window."""
    # A thread: some browsers are waited for until they have the page.
    threading.Thread(target=_open, args=(url,), name="frys-browser", daemon=True).start()


def _open(url: str) -> None:
    try:
        browser = webbrowser.get()
        # These take over the terminal: of the first type itself, which others inherit from, are all but one of them.
        if type(browser) not in (webbrowser.GenericBrowser, webbrowser.Elinks):
            browser.open(url)
    except (OSError, webbrowser.Error):
        pass  # the address is printed as well
