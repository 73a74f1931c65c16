"""A dashboard is there once its page is."""

from __future__ import annotations

from pathlib import Path

from gateway.admin.pages.folders import INDEX, has_dashboard


def test_a_dashboard_is_there_once_its_page_is(tmp_path: Path) -> None:
    folder = tmp_path / "dashboard"
    assert not has_dashboard(folder)
    (folder / INDEX).mkdir(parents=True)
    assert not has_dashboard(folder)
    (folder / INDEX).rmdir()
    (folder / INDEX).write_bytes(b"")
    assert has_dashboard(folder)
