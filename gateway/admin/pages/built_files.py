"""Built files: the JavaScript client and the dashboard, which `make` builds into folders of the package.

They are no part of the repository. A file stands beside its compressed form, ``NAME.gz``.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.admin.http.etags import is_known
from gateway.admin.http.thread import in_thread

MEDIA_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "map": "application/json",
    "txt": "text/plain; charset=utf-8",
}
"""Kinds of files that are served, by the end of their names."""

_NAME: Final = re.compile(r"(?=.{1,100}$)[\w-]+(?:\.[\w-]+)*", re.ASCII)
_HASHED: Final = re.compile(r"-[\w-]{8}\.(?:css|js)(?:\.map)?$", re.ASCII)
"""End of a name that changes with the content: written by the ``rolldown.config.ts`` of the package."""

_HEADERS: Final = {"vary": "accept-encoding", "x-content-type-options": "nosniff"}


_NEVER: Final = re.compile(r"\s*q=0(?:\.0*)?\s*", re.IGNORECASE)
"""Weight of a coding that a client does not take (RFC 9110, section 12.4.2)."""


class _File(NamedTuple):
    content: bytes
    is_gzip: bool


class BuiltFiles:
    """Files of one folder, and the handler of requests for them.

    Args:
        folder: the folder; it may be missing.
        headers: headers of each answer.
        absence: text for those who ask for a file that is missing.
    """

    def __init__(self, folder: Path, headers: Mapping[str, str], absence: str) -> None:
        self._folder = folder
        self._headers = {**_HEADERS, **headers}
        self._absence = absence

    async def show(self, request: Request) -> Response:
        """Answer with the file that the path names."""
        answer = await self.answer(request, request.path_params["name"])
        if answer is None:
            raise HTTPException(404, self._absence)
        return answer

    async def answer(self, request: Request, name: str) -> Response | None:
        """Return the answer with a file; ``None``: there is no such file."""
        media_type = MEDIA_TYPES.get(name.rpartition(".")[2]) if _NAME.fullmatch(name) else None
        takes_gzip = _takes_gzip(request.headers.get("accept-encoding", ""))
        found = await in_thread(self._read, name, takes_gzip) if media_type else None
        if found is None:
            return None
        etag = f'"{hashlib.sha256(found.content).hexdigest()[:16]}"'
        keep = "public, max-age=31536000, immutable" if _HASHED.search(name) else "no-cache"
        headers = {**self._headers, "etag": etag, "cache-control": keep}
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


def _takes_gzip(accepted: str) -> bool:
    """Return whether a client takes gzip, by the header in which it lists codings."""
    codings = [coding.partition(";") for coding in accepted.split(",")]
    return any(name.strip().lower() == "gzip" and not _NEVER.fullmatch(weight) for name, _, weight in codings)
