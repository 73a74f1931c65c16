"""Known names of the admin port, and pages that may order something or connect to it.

A browser on a machine that reaches the admin port runs pages from anywhere. Against pages whose name leads to the
gateway for a moment (DNS rebinding) the ``Host`` of a request is checked; against pages that send requests to it, the
``Origin`` of those that change something, and of WebSockets.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.admin.http.failures import ProblemResponse
from gateway.admin.http.request_limit import PROBES

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing, whose answers the browser itself keeps from pages from elsewhere."""

ANY_HOST: Final = "*"
"""Name that stands for all."""

_HOST: Final = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:\[\]/@?#\s]+)(?::(?P<port>\d{1,5}))?", re.IGNORECASE)
_MAX_SHOWN: Final = 100


class KnownHosts:
    """Known names of the admin port: those by which it may be addressed.

    Any address of numbers is one, and so is a name without a dot, as ``localhost`` or that of a container: nobody
    elsewhere can make such a name lead to this machine.

    Args:
        names: further names; :data:`ANY_HOST` stands for all.
    """

    def __init__(self, names: Collection[str] = ()) -> None:
        self._names = frozenset([name.lower().rstrip(".") for name in names])

    def refusal(self, host: str | None, origin: str | None, *, changes: bool) -> tuple[HTTPStatus, str] | None:
        """Return the status and the words with which a request is refused; ``None``: it is not.

        Args:
            host: the header; ``None``: there is none, as in HTTP/1.0.
            origin: the header, by which a browser tells the origin of a page; ``None``: there is none.
            changes: whether the request may change something, or begins a WebSocket.
        """
        if host is not None and not self._is_known(host):
            return HTTPStatus.MISDIRECTED_REQUEST, (
                f"Host is {_shown(host)}, which is none of the names of this admin port: ask by its IP address, or "
                "add the name to admin_hosts in the configuration file"
            )
        if changes and origin is not None and not self._is_own(origin, host):
            return HTTPStatus.FORBIDDEN, (
                f"Origin is {_shown(origin)}, while the page of this gateway is at {_shown(host or '')}: a page from "
                "elsewhere may order nothing here; have a proxy pass Host on, or add the name to admin_hosts"
            )
        return None

    def _is_known(self, host: str) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = found["name"].lower().rstrip(".")
        return "." not in name or _is_number(name) or self._names_it(name) or name.endswith(".localhost")

    def _is_own(self, origin: str, host: str | None) -> bool:
        """Return whether a page comes from the very host and port, or from a name that the operator knows."""
        try:
            url = urlsplit(origin)
            name, port = url.hostname, url.port
        except ValueError:
            return False
        if name is None:
            return False
        if self._names_it(name):
            return True
        found = None if host is None else _HOST.fullmatch(host)
        if found is None:
            return False
        default = {"http": 80, "https": 443}.get(url.scheme)
        ports = (port or default, int(found["port"] or default or 0))
        return name.rstrip(".") == found["name"].strip("[]").lower().rstrip(".") and ports[0] == ports[1]

    def _names_it(self, name: str) -> bool:
        return ANY_HOST in self._names or name.rstrip(".") in self._names


class HostCheck:
    """ASGI application that refuses requests for other names, but no probes, and commands of pages from elsewhere.

    Args:
        application: answers the others.
        hosts: the names.
    """

    def __init__(self, application: ASGIApp, hosts: KnownHosts) -> None:
        self._application = application
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        refused = None
        if scope["path"] not in PROBES:
            headers = Headers(scope=scope)
            changes = scope["method"] not in SAFE_METHODS
            refused = self._hosts.refusal(headers.get("host"), headers.get("origin"), changes=changes)
        if refused is None:
            await self._application(scope, receive, send)
        else:
            status, problem = refused
            # A body that comes with it is not read.
            close = {"connection": "close"}
            await ProblemResponse(status, status.name, problem, status, close)(scope, receive, send)


def _is_number(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _shown(text: str) -> str:
    return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…")
