"""JavaScript client for pages without a bundler: ``/client/frys.js``, and the parts that it loads."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gateway.admin.pages.built_files import BuiltFiles
from gateway.admin.pages.folders import CLIENT

_HEADERS: Final = {
    # A page of any origin may import a module with these: the files are the same for everyone, and tell nothing.
    "access-control-allow-origin": "*",
    "cross-origin-resource-policy": "cross-origin",
}
_ABSENCE: Final = (
    "the client has no such file, as frys.js names those that it needs; or it was not built: run `make js-client` in a "
    "checkout, with Node 20 or newer, or use the container image"
)


def client_files(folder: Path = CLIENT) -> BuiltFiles:
    """Return the files of the client, for pages of any origin."""
    return BuiltFiles(folder, _HEADERS, _ABSENCE)
