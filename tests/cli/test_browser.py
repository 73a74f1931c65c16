"""A page opens in a browser with a window, or not at all."""

from __future__ import annotations

import threading
import webbrowser

import pytest

from gateway.cli.browser import has_display, open_page

PAGE = "http://127.0.0.1:8766/"


@pytest.mark.parametrize(
    ("environment", "platform", "expected"),
    [
        ({}, "linux", False),
        ({"DISPLAY": ""}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({}, "darwin", True),
    ],
)
def test_a_display(environment: dict[str, str], platform: str, expected: bool) -> None:
    assert has_display(environment, platform) is expected


class Window(webbrowser.BaseBrowser):
    """Browser with a window."""

    def __init__(self, pages: list[str]) -> None:
        super().__init__("window")
        self._pages = pages

    def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:
        self._pages.append(url)
        return True


def opened(monkeypatch: pytest.MonkeyPatch, found: webbrowser.BaseBrowser | None) -> None:
    """Open a page by the browser that there is, and wait for the end of the thread."""

    def get() -> webbrowser.BaseBrowser:
        if found is None:
            raise webbrowser.Error("could not locate runnable browser")
        return found

    monkeypatch.setattr(webbrowser, "get", get)
    open_page(PAGE)
    for thread in threading.enumerate():
        if thread.name == "frys-browser":
            thread.join()


def test_a_page_opens_in_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[str] = []
    opened(monkeypatch, Window(pages))
    assert pages == [PAGE]


@pytest.mark.parametrize("kind", [webbrowser.GenericBrowser, webbrowser.Elinks])
def test_the_terminal_is_left_to_the_program(
    kind: type[webbrowser.GenericBrowser | webbrowser.Elinks], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages: list[str] = []
    monkeypatch.setattr(kind, "open", lambda self, url: pages.append(url))
    opened(monkeypatch, kind("true"))
    assert not pages


def test_without_a_browser_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    opened(monkeypatch, None)
