"""Requests to other clients (spec section 8)."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable

from gateway.client.alias import Alias
from gateway.client.arrival import Arrival
from gateway.client.codec_choice import parse_codec
from gateway.client.content import Headers, content_of
from gateway.client.in_order import InOrder
from gateway.client.job import Job, lost_on_the_way
from gateway.client.lane import Lane
from gateway.client.message import Message
from gateway.client.outlet import Outlet
from gateway.client.session import Session
from gateway.errors import Code, RequestRefused
from gateway.protocol.messages import Error
from gateway.protocol.names import check_address
from gateway.protocol.wire import FLAG_FAILED, Buffer, Opcode


class RequestFailed(RequestRefused):
    """The addressee got the request and answered that it failed; ``message`` is what it said."""

    def __init__(self, address: str, error: str) -> None:
        super().__init__(Code.INTERNAL, error)
        self.address = address

    def __str__(self) -> str:
        return f"{self.address} failed the request: {self.message}"


class AddressLane(Lane):
    """The requests to one address, under the alias that it has on the present session."""

    _alias: Alias | None = None

    def forget(self, alias: Alias) -> None:
        """The gateway refused to open the address: the next request asks again."""
        if self._alias is alias:
            self._alias = None

    def _begin(self, session: Session, job: Job) -> tuple[int, int, list[Buffer]]:
        before: list[Buffer] = []
        alias = self._alias
        if alias is None or alias.session is not session:
            alias = self._alias = self._outlet.aliases.open(session, self.name, None)
            before.append(alias.opening())
        return alias.number, job.correlation, before


class ReplyDestination:
    """Where one REPLY goes when it is decoded."""

    def __init__(self, job: Job, address: str) -> None:
        self.order: InOrder[Buffer] = InOrder()
        self._job = job
        self._address = address

    def deliver(self, arrival: Arrival, payload: Buffer) -> None:
        """To the asker."""
        message = arrival.item(self._address, None, 0, payload)
        assert isinstance(message, Message)
        if arrival.frame.flags & FLAG_FAILED:
            self._job.fail(RequestFailed(self._address, str(message.headers.get("error", "it did not say why"))))
        else:
            self._job.finish(message)

    def fail(self, error: Exception, arrival: Arrival | None) -> None:
        """The reply came and cannot be read."""
        self._job.fail(error)

    def advanced(self, received_bytes: int, payload_bytes: int) -> None:
        """A large reply grows: the asker's time limit starts again."""
        self._job.touch()


class Requests:
    """What a client asks others, over as many sessions as there are."""

    def __init__(self, outlet: Outlet, now_ns: Callable[[], int]) -> None:
        self._outlet = outlet
        self._now_ns = now_ns
        self._lanes: dict[str, AddressLane] = {}
        self._correlations = itertools.count(1)
        self._asked: dict[int, tuple[Job, str]] = {}

    async def request(
        self, address: str, value: object, *, headers: Headers, codec: str, timeout_s: float | None
    ) -> Message:
        """See :meth:`gateway.client.client.Client.request`."""
        started_s = time.perf_counter()
        self._outlet.check()
        lane = self._lanes.get(address)
        if lane is None:
            lane = self._lanes[check_address(address)] = AddressLane(self._outlet, address)
        job = Job(
            Opcode.REQUEST,
            content_of(value, headers),
            self._now_ns(),
            correlation=next(self._correlations),
            chain=parse_codec(codec),
            done=asyncio.get_running_loop().create_future(),
            started_s=started_s,
        )
        self._asked[job.correlation] = job, address
        lane.submit(job)
        self._outlet.intake.expect_answer()
        try:
            reply = await job.result(timeout_s, f"the reply of {address}")
        finally:
            self._outlet.intake.end_answer()
            self._asked.pop(job.correlation, None)
        assert isinstance(reply, Message)
        return reply

    def reply_destination(self, correlation: int) -> ReplyDestination | None:
        """Where a REPLY goes; None if nobody waits for it any more."""
        asked = self._asked.get(correlation)
        return None if asked is None else ReplyDestination(*asked)

    def refused(self, error: Error) -> bool:
        """An ERROR that names a correlation. Returns whether it was one of ours."""
        asked = None if error.correlation is None else self._asked.get(error.correlation)
        if asked is not None:
            job, address = asked
            job.fail(RequestRefused(error.code, f"request to {address}: {error.message}"))
        return asked is not None

    def address_refused(self, error: Error, alias: Alias) -> None:
        """An ERROR about an address that was opened: its requests are refused one by one, later ones ask again."""
        lane = self._lanes.get(alias.name)
        if lane is not None:
            lane.forget(alias)

    def detached(self) -> None:
        """The session is over. Requests that were sent will not be answered; the others go out on the next one."""
        for job, address in self._asked.values():
            if job.ended:
                job.fail(lost_on_the_way(f"a request to {address}"))
