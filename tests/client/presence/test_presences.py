"""Tests the presences of a client: joined again on every connection, conflated awareness, and what is refused."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

import pytest

from gateway.app import Gateway
from gateway.client import Backoff, ClientState, connect
from gateway.client.presence import presences
from gateway.errors import Code, ConnectionFailed, InvalidArgument, RequestRefused, UsageError
from gateway.protocol.messages import Error
from gateway.protocol.presence import Attend, Attending, Awareness, Members, PresentMember, Watching
from gateway.protocol.wire import Opcode
from tests.client.scripted_gateway import Peer, Received, ScriptedGateway
from tests.client.waiting import until

QUICK = Backoff(base_s=0.001, cap_s=0.001)


def members(*names: str) -> list[PresentMember]:
    return [PresentMember(name, "agent", 3, 1, {}) for name in names]


class Scope:
    """A scripted gateway's scope, with the ATTEND and AWARENESS that came."""

    def __init__(self, scripted: ScriptedGateway, *names: str) -> None:
        self.names = names
        self.asked: list[Attend] = []
        self.shown: list[Awareness] = []
        self.peers: list[Peer] = []
        self.refusal: Code | None = None
        scripted.answers[Opcode.ATTEND] = self._attend
        scripted.answers[Opcode.AWARENESS] = self._show

    def _attend(self, peer: Peer, received: Received) -> None:
        request = received.session()
        assert isinstance(request, Attend)
        self.asked.append(request)
        self.peers.append(peer)
        if self.refusal is not None:
            peer.send(Error(self.refusal, self.refusal.name, "no", request=request.request))
            return
        peer.send(Attending(request.request, request.scope, len(self.names)))
        if request.watch is Watching.MEMBERS:
            peer.send(Members(request.scope, len(self.names), members(*self.names), roster=True))

    def _show(self, peer: Peer, received: Received) -> None:
        shown = received.session()
        assert isinstance(shown, Awareness)
        self.shown.append(shown)


def found(gateway: Gateway, scope: str = "wf") -> dict[str, bytes]:
    """Members that the gateway has."""
    at = gateway.core.presence.get(scope)
    return {} if at is None else {name: member.metadata for name, member in at.roster.members.items()}


async def test_two_clients_see_each_other(gateway: Gateway) -> None:
    async with (
        connect(gateway.url, client_id="a") as one,
        connect(gateway.url, client_id="b") as other,
        one.presence("wf", metadata={"role": "trainer"}) as mine,
    ):
        assert set(mine.members) == {"a"}
        changes = mine.changes()
        assert [(await anext(changes)).kind] == ["joined"]
        async with other.presence("wf", metadata={}) as theirs:
            assert theirs.members["a"].metadata == {"role": "trainer"}
            assert theirs.count == 2
            joined = await anext(changes)
            assert (joined.kind, joined.member.client_id) == ("joined", "b")
            await theirs.update({"role": "evaluator"})
            assert (await anext(changes)).member.metadata == {"role": "evaluator"}
            theirs.set_awareness({"cursor": 1})
            shown = await anext(changes)
            assert (shown.kind, shown.member.awareness) == ("awareness", {"cursor": 1})
        left = await anext(changes)
        assert (left.kind, left.member.client_id) == ("left", "b")


async def test_who_only_watches_is_no_member_and_may_join_later(gateway: Gateway) -> None:
    async with connect(gateway.url, client_id="a") as client, client.presence("wf/loss") as presence:
        assert (presence.members, presence.count) == ({}, 0)
        await presence.update({"x": 1})
        assert found(gateway, "wf/loss") == {"a": b'{"x":1}'}
        await presence.update(None)
        assert found(gateway, "wf/loss") == {}


async def test_a_count_or_nothing_may_be_watched(gateway: Gateway) -> None:
    async with (
        connect(gateway.url) as client,
        connect(gateway.url) as other,
        client.presence("wf", watch="count") as counted,
        other.presence("wf", metadata={}, watch=None) as joined,
    ):
        await until(lambda: counted.count == 1)
        assert (joined.count, joined.members) == (1, {})


async def test_a_client_that_closes_leaves_at_once(gateway: Gateway) -> None:
    client = await connect(gateway.url)
    presence = client.presence("wf", metadata={})
    await presence.start()
    assert len(found(gateway)) == 1
    await client.close()
    await until(lambda: not found(gateway))
    assert presence.core.over
    await presence.close()


async def test_a_presence_that_the_program_drops_is_left(gateway: Gateway) -> None:
    async with connect(gateway.url) as client:
        presence = client.presence("wf", metadata={})
        await presence.start()
        assert len(found(gateway)) == 1
        del presence
        gc.collect()
        await until(lambda: not found(gateway))


async def test_one_that_was_dropped_gives_way_to_another_of_its_scope(gateway: Gateway) -> None:
    async with connect(gateway.url) as client:
        await client.presence("wf", metadata={"first": True}).start()
        gc.collect()
        async with client.presence("wf", metadata={"second": True}):
            await asyncio.sleep(0)
            assert list(found(gateway).values()) == [b'{"second":true}']


async def test_a_scope_has_one_presence_of_a_client_at_a_time(gateway: Gateway) -> None:
    async with connect(gateway.url) as client:
        async with client.presence("wf", metadata={}):
            other = client.presence("wf", metadata={})
            with pytest.raises(UsageError, match=r"open already: use that one \(update"):
                await other.start()
            with pytest.raises(UsageError, match="not open"):
                await other.update({"mine": False})
            assert list(found(gateway).values()) == [b"{}"]
        async with client.presence("wf") as again:
            assert again.members == {}


@pytest.mark.parametrize("code", [Code.PRESENCE_FULL, Code.FORBIDDEN])
async def test_a_refusal_is_raised(scripted: ScriptedGateway, code: Code) -> None:
    scope = Scope(scripted)
    scope.refusal = code
    async with connect(scripted.url) as client:
        with pytest.raises(RequestRefused) as refused:
            await client.presence("wf", metadata={}).start()
        assert refused.value.code == code
        scope.refusal = None
        async with client.presence("wf", metadata={"a": 1}) as presence:
            scope.refusal = code
            with pytest.raises(RequestRefused):
                await presence.update({"a": 2})
            assert presence.core.metadata == {"a": 1}
            scope.refusal = None


async def test_it_joins_again_on_a_new_connection_and_tells_true_comings_and_goings(scripted: ScriptedGateway) -> None:
    scope = Scope(scripted, "stays", "goes")
    async with (
        connect(scripted.url, backoff=QUICK) as client,
        client.presence("wf", metadata={"role": "trainer"}) as presence,
    ):
        changes = presence.changes()
        assert {(await anext(changes)).member.client_id for _ in range(2)} == {"stays", "goes"}
        scope.names = ("stays", "comes")
        scope.peers[-1].drop()
        await until(lambda: len(scope.asked) == 2)
        told = {(change.kind.value, change.member.client_id) for change in [await anext(changes) for _ in range(2)]}
        assert told == {("left", "goes"), ("joined", "comes")}
        assert scope.asked[1].metadata == {"role": "trainer"}


async def test_a_refusal_on_a_new_connection_ends_it(scripted: ScriptedGateway) -> None:
    scope = Scope(scripted, "a")
    async with connect(scripted.url, backoff=QUICK) as client, client.presence("wf", metadata={}) as presence:
        changes = presence.changes()
        await anext(changes)
        scope.refusal = Code.FORBIDDEN
        scope.peers[-1].drop()
        with pytest.raises(RequestRefused, match="no"):
            await anext(changes)


async def test_an_update_whose_connection_is_lost_is_made_by_joining_again(scripted: ScriptedGateway) -> None:
    scope = Scope(scripted)
    async with connect(scripted.url, backoff=QUICK) as client, client.presence("wf", metadata={}) as presence:
        answer = scripted.answers[Opcode.ATTEND]

        def drop(peer: Peer, received: Received) -> None:
            scripted.answers[Opcode.ATTEND] = answer
            peer.drop()

        scripted.answers[Opcode.ATTEND] = drop
        await presence.update({"new": True})
        await until(lambda: len(scope.asked) == 2)
        assert scope.asked[1].metadata == {"new": True}


async def test_awareness_is_sent_once_in_a_while_and_the_newest_in_the_end(
    scripted: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = Scope(scripted)
    async with connect(scripted.url) as client, client.presence("wf", metadata={}) as presence:
        rests: list[Callable[[], object]] = []
        monkeypatch.setattr(
            client._core.presences._loop, "call_later", lambda pause_s, call, *given: rests.append(lambda: call(*given))
        )
        for at in range(100):
            presence.set_awareness({"at": at})
        assert len(rests) == 1
        rests.pop()()
        assert len(rests) == 1  # the newest has been sent, and another one has to wait
        rests.pop()()
        assert not rests
        monkeypatch.undo()
        await until(lambda: len(scope.shown) == 2)
        assert [shown.state for shown in scope.shown] == [{"at": 0}, {"at": 99}]


async def test_awareness_is_shown_again_on_a_new_connection_unless_it_is_old(
    scripted: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = Scope(scripted)
    async with connect(scripted.url, backoff=QUICK) as client, client.presence("wf", metadata={}) as presence:
        scripted.status = 503  # no attempt succeeds yet, so that the state can be seen
        scope.peers[-1].drop()
        await until(lambda: client.state is ClientState.RECONNECTING)
        presence.set_awareness({"at": 1})
        scripted.status = None
        await until(lambda: [shown.state for shown in scope.shown] == [{"at": 1}])
        scope.peers[-1].drop()
        await until(lambda: len(scope.shown) == 2)
        monkeypatch.setattr(presences, "AWARENESS_KEPT_S", -1)
        scope.peers[-1].drop()
        await until(lambda: len(scope.asked) == 4)
        await client.drain()
        assert len(scope.shown) == 2


async def test_a_refused_awareness_is_reported(scripted: ScriptedGateway) -> None:
    Scope(scripted)
    scripted.answers[Opcode.AWARENESS] = lambda peer, received: peer.send(
        Error(Code.PRESENCE_FULL, "PRESENCE_FULL", "too much", stream="wf")
    )
    errors: list[Exception] = []
    async with (
        connect(scripted.url, on_error=errors.append) as client,
        client.presence("wf", metadata={}) as presence,
    ):
        presence.set_awareness({"at": 1})
        await until(lambda: bool(errors))
    assert "too much" in str(errors[0])


async def test_names_and_arguments_are_checked_at_once(gateway: Gateway) -> None:
    async with connect(gateway.url) as client:
        with pytest.raises(RequestRefused) as refused:
            client.presence("wf/*")
        assert refused.value.code == Code.INVALID_NAME
        with pytest.raises(InvalidArgument, match="watch="):
            client.presence("wf", watch="everything")
        with pytest.raises(InvalidArgument, match="metadata="):
            client.presence("wf", metadata=[1])  # type: ignore[arg-type]
    with pytest.raises(ConnectionFailed):
        client.presence("wf")


async def test_a_start_that_is_cancelled_leaves_nothing(scripted: ScriptedGateway) -> None:
    scope = Scope(scripted)
    answer = scripted.answers[Opcode.ATTEND]
    asked = asyncio.Event()
    scripted.answers[Opcode.ATTEND] = lambda peer, received: asked.set()
    async with connect(scripted.url) as client:
        presence = client.presence("wf", metadata={})
        starting = asyncio.ensure_future(client._core.presences.start(presence.core))
        await asked.wait()
        scripted.answers[Opcode.ATTEND] = answer
        starting.cancel()
        await until(lambda: len(scope.asked) == 1)
        assert (scope.asked[0].metadata, scope.asked[0].watch) == (None, None)
