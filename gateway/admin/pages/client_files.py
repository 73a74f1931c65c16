"""Files of the JavaScript client for pages without a bundler: ``/client/frys.js``, and the parts that it loads.

They are built by ``make js-client`` into a folder of the package, and are no part of the repository.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.admin.http.etags import is_known
from gateway.admin.http.thread import in_thread

FOLDER: Final = Path(__file__).parents[1] / "client"
"""Place of the built files."""

MEDIA_TYPES: Final = {
    "js": "text/javascript; charset=utf-8",
    "map": "application/json",
    "txt": "text/plain; charset=utf-8",
}
"""Kinds of files that are served, by the end of their names."""

_NAME: Final = re.compile(r"(?=.{1,100}$)[\w-]+(?:\.[\w-]+)*", re.ASCII)
_HASHED: Final = re.compile(r"-[\w-]{8}\.js(?:\.map)?$", re.ASCII)
"""End of a name that changes with the content: written by ``clients/js/rolldown.config.ts``."""

_HEADERS: Final = {
    # A page of any origin may import a module with these: the files are the same for everyone, and tell nothing.
    "access-control-allow-origin": "*",
    "cross-origin-resource-policy": "cross-origin",
    "vary": "accept-encoding",
    "x-content-type-options": "nosniff",
}


class _File(NamedTuple):
    content: bytes
    is_gzip: bool


class ClientFiles:
    """Handler of the files in a folder."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._folder = folder

    async def show(self, request: Request) -> Response:
        """Answer with a file, or say how to build it."""
        name: str = request.path_params["name"]
        media_type = MEDIA_TYPES.get(name.rpartition(".")[2]) if _NAME.fullmatch(name) else None
        takes_gzip = "gzip" in request.headers.get("accept-encoding", "")
        found = await in_thread(self._read, name, takes_gzip) if media_type else None
        if found is None:
            raise HTTPException(404, self._absence())
        etag = f'"{hashlib.sha256(found.content).hexdigest()[:16]}"'
        keep = "public, max-age=31536000, immutable" if _HASHED.search(name) else "no-cache"
        headers = {**_HEADERS, "etag": etag, "cache-control": keep}
        if is_known(etag, request):
            return Response(status_code=304, headers=headers)
        if found.is_gzip:
            headers["content-encoding"] = "gzip"
        return Response(found.content, headers=headers, media_type=media_type)

    def _read(self, name: str, takes_gzip: bool) -> _File | None:
        path = self._folder / name
        zipped = path.with_name(f"{name}.gz")
        if takes_gzip and zipped.is_file():
            return _File(zipped.read_bytes(), is_gzip=True)
        return _File(path.read_bytes(), is_gzip=False) if path.is_file() else None

    def _absence(self) -> str:
        if (self._folder / "frys.js").is_file():
            return "the client has no such file; frys.js names those that it needs"
        return (
            "the client was not built: run `make js-client` in a checkout, with Node 20 or newer, or use the container "
            "image"
        )
