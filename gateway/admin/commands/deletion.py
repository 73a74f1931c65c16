"""Deletion of a stream: ``DELETE /api/v1/streams/{name}``."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.admin.arrays.upload import AGENT
from gateway.admin.http.awaited_answer import AwaitedAnswer
from gateway.admin.http.query import check_names
from gateway.connections.core import Core
from gateway.connections.sessions.local import DeleteOutcome, LocalConnection
from gateway.errors import Code, RequestRefused
from gateway.protocol.messages import ClientType, Deleted
from gateway.protocol.names import check_stream_name


class StreamDeletion:
    """Handler of deletions. Each is made by a client of its own, with a local connection for as long as it takes.

    Args:
        core: the gateway.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    async def delete(self, request: Request) -> Response:
        """Delete the stream, whoever uses it; the answer follows when it has ended, also in the store.

        Raises:
            RequestRefused: ``INVALID_NAME``, ``INVALID_REQUEST``, ``UNKNOWN_STREAM``, ``DRAINING``; ``QUEUE_FULL``: the
                store fails.
            ConnectionClosed: the gateway takes no further client.
        """
        check_names(request)
        path = request.path_params["name"]
        if "*" in path:
            problem = f"{path} is a pattern, and HTTP deletes one stream"
            raise RequestRefused(Code.INVALID_NAME, f"{problem}: frys rm and client.delete() take patterns")
        name = check_stream_name(path)
        answered = AwaitedAnswer[DeleteOutcome]()
        connection = LocalConnection(self._core, client_type=ClientType.ADMIN_PANEL, agent=AGENT)
        try:
            connection.delete(name, answered.give)
            outcome = await answered
        finally:
            connection.close()
        if not isinstance(outcome, Deleted):
            raise outcome
        return JSONResponse({"deleted": list(outcome.streams)})
