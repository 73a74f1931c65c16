"""Presence: who is a member, who is told, what is refused, and that nobody stays who is gone."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.connections.presence.settings import PresenceSettings
from gateway.connections.sessions.grant import UniformGrant
from gateway.errors import Code
from gateway.protocol.messages import Subscribe
from gateway.protocol.presence import MAX_AWARENESS_BYTES, MAX_METADATA_BYTES, Attending, Members, Watching
from gateway.protocol.state import State
from tests.connections.memory import Peer, World
from tests.connections.presence.attending import (
    RosterView,
    answers,
    attend,
    join,
    leave,
    pass_window,
    show,
    sweep,
    watch,
)
from tests.connections.text_messages import news, person

GRACE_S = 5.0


def members(world: World, scope: str = "wf") -> dict[str, bytes]:
    """Metadata of the members, as the gateway has it."""
    found = world.core.presence.get(scope)
    return {} if found is None else {client_id: member.metadata for client_id, member in found.roster.members.items()}


def codes(peer: Peer) -> list[int]:
    return [error.code for error in peer.news().errors]


def test_a_member_joins_changes_and_leaves() -> None:
    world = World()
    watcher, member = world.peer("watcher"), world.peer("member")
    view = watch(watcher)
    pass_window(world)
    assert (view.read().members, view.count, view.complete) == ({}, 0, True)
    join(member, role="trainer")
    pass_window(world)
    assert view.read().metadata == {"member": {"role": "trainer"}}
    assert view.members["member"].peer == member.session.peer.id
    join(member, role="evaluator")
    pass_window(world)
    assert view.read().metadata == {"member": {"role": "evaluator"}}
    leave(member)
    pass_window(world)
    assert (view.read().metadata, view.count) == ({}, 0)
    assert [answer.count for answer in answers(member)] == [1, 1, 0]


def test_a_scope_is_a_workflow_or_a_stream_and_each_has_its_own_members() -> None:
    world = World()
    peer = world.peer("member")
    join(peer, "wf", at="workflow")
    join(peer, "wf/loss", at="stream")
    assert members(world, "wf") == {"member": b'{"at":"workflow"}'}
    assert members(world, "wf/loss") == {"member": b'{"at":"stream"}'}


@pytest.mark.parametrize("scope", ["", "a b", "wf/", "**", "wf/*", "agent:x", "..", "x" * 256])
def test_a_name_that_is_no_scope(scope: str) -> None:
    peer = World().peer()
    join(peer, scope)
    assert codes(peer) == [Code.INVALID_NAME]


def test_a_subscription_is_no_membership() -> None:
    world = World()
    peer = world.peer()
    peer.say(Subscribe(1, 1, "wf/**"))
    world.settle()
    assert members(world) == {}


def test_a_client_that_is_told_of_a_scope_need_be_no_member_and_a_member_need_not_be_told() -> None:
    world = World()
    watcher, member = world.peer("watcher"), world.peer("member")
    view = watch(watcher)
    join(member)
    pass_window(world)
    assert members(world) == {"member": b"{}"}
    assert not RosterView(member).read().frames
    assert view.read().frames


def test_what_was_asked_for_before_goes_on() -> None:
    world = World()
    peer = world.peer("member")
    view = watch(peer)
    pass_window(world)
    attend(peer, metadata={"a": 1}, watch=Watching.MEMBERS)
    pass_window(world)
    assert view.read().metadata == {"member": {"a": 1}}
    assert [frame.roster for frame in view.frames] == [True, None]
    attend(peer, watch=Watching.MEMBERS)
    pass_window(world)
    assert (view.read().metadata, members(world)) == ({}, {})


def test_a_watcher_of_the_count_is_told_nothing_else() -> None:
    world = World()
    watcher = world.peer("watcher")
    attend(watcher, watch=Watching.COUNT)
    pass_window(world)
    for number in range(3):
        join(world.peer(f"member-{number}"))
    pass_window(world)
    join(world.peer("member-3"), other="metadata")
    show(world.peer("member-4"))
    pass_window(world)
    frames = [entry for entry in watcher.read().log if isinstance(entry, Members)]
    assert [(frame.count, frame.members, frame.roster) for frame in frames] == [
        (0, None, None),
        (3, None, None),
        (4, None, None),
    ]


def test_a_client_that_loses_its_connection_stays_for_the_grace_and_no_longer() -> None:
    world = World()
    view, member = watch(world.peer("watcher")), world.peer("member")
    join(member)
    pass_window(world)
    world.lose(member)
    sweep(world)
    assert "member" in view.read().members
    assert world.core.presence.stats().away == 1
    world.clock.advance(GRACE_S)
    sweep(world)
    assert view.read().members == {}
    assert world.core.presence.stats().away == 0


def test_a_client_that_comes_back_within_the_grace_has_never_left() -> None:
    world = World()
    view, member = watch(world.peer("watcher")), world.peer("member", instance=7)
    join(member, a=1)
    pass_window(world)
    generation = view.read().members["member"].generation
    again = world.peer("member", instance=7)  # takes over: the other connection counts as lost
    assert member.close_code() == Code.RECONNECTED
    join(again, a=1)
    pass_window(world)
    world.lose(member)
    world.clock.advance(2 * GRACE_S)
    sweep(world)
    assert view.read().members["member"].peer == again.session.peer.id
    assert view.members["member"].generation == generation
    assert not any(frame.left for frame in view.frames)


def test_another_program_of_the_name_is_another_member() -> None:
    world = World()
    view, older = watch(world.peer("watcher")), world.peer("member")
    join(older, a=1)
    show(older, cursor=1)
    pass_window(world)
    first = view.read().members["member"].generation
    newer = world.peer("member")
    assert older.close_code() == Code.SUPERSEDED
    join(newer, a=1)
    pass_window(world)
    assert view.read().members["member"].generation > first
    assert view.awareness == {}
    assert view.frames[-1].left == ("member",)


def test_what_a_lost_connection_has_sent_last_joins_nobody() -> None:
    world = World()
    member = world.peer("member")
    world.take_one_step_a_turn()
    member.session.backlog.add(iter((True, False)).__next__, 8)  # something takes long
    join(member)
    world.core.disconnect(member.session)
    world.settle()
    assert members(world) == {}
    assert world.core.presence.stats().members == 0


def test_awareness_is_told_replaced_and_taken_back() -> None:
    world = World()
    view, member = watch(world.peer("watcher")), world.peer("member")
    join(member)
    for at in range(20):
        show(member, cursor=at)
    pass_window(world)
    assert view.read().awareness == {"member": {"cursor": 19}}
    assert len([frame for frame in view.frames if frame.awareness]) == 1
    show(member)
    pass_window(world)
    assert view.read().awareness == {}
    show(member)  # it has none
    pass_window(world)
    assert len(view.read().frames) == 2
    assert world.core.presence.stats().held_bytes == 2


def test_awareness_ends_unless_it_is_renewed() -> None:
    world = World()
    view, member = watch(world.peer("watcher")), world.peer("member")
    join(member)
    show(member, cursor=1)
    world.clock.advance(20)
    show(member, cursor=1)
    sweep(world)
    world.clock.advance(20)
    sweep(world)
    assert view.read().awareness == {"member": {"cursor": 1}}
    world.clock.advance(11)
    sweep(world)
    assert view.read().awareness == {}
    assert "member" in view.members


def test_a_newcomer_gets_awareness_too() -> None:
    world = World()
    member = world.peer("member")
    join(member)
    show(member, cursor=1)
    join(member, changed=True)  # the member is told behind its awareness now
    view = watch(world.peer("watcher"))
    pass_window(world)
    assert view.read().awareness == {"member": {"cursor": 1}}


def test_awareness_of_a_scope_that_was_not_joined() -> None:
    world = World()
    peer = world.peer()
    show(peer, cursor=1)
    watch(peer)
    show(peer, cursor=1)
    errors = peer.news().errors
    assert [(error.code, error.stream, error.request) for error in errors] == [
        (Code.INVALID_REQUEST, "wf", None),
        (Code.INVALID_REQUEST, "wf", None),
    ]


def test_metadata_and_awareness_have_a_bound() -> None:
    world = World()
    peer = world.peer("member")
    join(peer, text="x" * (MAX_METADATA_BYTES - len('{"text":""}')))
    show(peer, text="x" * (MAX_AWARENESS_BYTES - len('{"text":""}')))
    assert codes(peer) == []
    join(peer, text="x" * MAX_METADATA_BYTES)
    show(peer, text="x" * MAX_AWARENESS_BYTES)
    assert codes(peer) == [Code.MESSAGE_TOO_BIG] * 2
    assert len(members(world)["member"]) == MAX_METADATA_BYTES


def test_a_client_attends_only_what_its_grant_permits() -> None:
    world = World()
    peer = world.peer("member")

    class Narrow(UniformGrant):
        def may_attend(self, pattern: str) -> bool:
            return pattern in {"mine/**", "other/loss"}

    peer.session.grant = Narrow(permitted=True)
    for scope in ("mine", "mine/loss", "other", "other/loss"):
        join(peer, scope)
    assert codes(peer) == [Code.FORBIDDEN] * 2
    watch(peer, "other")
    assert codes(peer) == [Code.FORBIDDEN]
    assert [scope.name for scope in world.core.presence] == ["mine", "other/loss"]


def test_a_gateway_that_stops_takes_nobody_new() -> None:
    world = World()
    peer = world.peer("member")
    join(peer)
    world.core.go_away("stopping", 10)
    assert peer.session.state is State.DRAINING
    join(peer, changed=True)
    join(peer, "other")
    assert codes(peer) == [Code.DRAINING]
    leave(peer)
    assert members(world) == {}


def test_a_connection_attends_so_many_scopes() -> None:
    world = World(presence=PresenceSettings(max_scopes=2))
    peer = world.peer()
    join(peer, "a")
    watch(peer, "b")
    join(peer, "b")
    join(peer, "c")
    assert codes(peer) == [Code.LIMIT_EXCEEDED]
    leave(peer, "a")
    join(peer, "c")
    assert codes(peer) == []


def test_a_scope_has_so_many_members() -> None:
    world = World(presence=PresenceSettings(max_members=2))
    peers = [world.peer() for _ in range(3)]
    for peer in peers:
        join(peer)
    assert [codes(peer) for peer in peers] == [[], [], [Code.PRESENCE_FULL]]
    join(peers[0], changed=True)
    watch(peers[2])
    assert [codes(peer) for peer in peers] == [[], [], []]
    leave(peers[0])
    join(peers[2])
    assert codes(peers[2]) == []


def test_all_scopes_have_so_many_members_and_watchers_together() -> None:
    world = World(presence=PresenceSettings(max_places=2))
    peer, other = world.peer(), world.peer()
    attend(peer, "a", {}, Watching.MEMBERS)
    join(other, "b")
    assert codes(other) == [Code.PRESENCE_FULL]
    attend(peer, "a", {}, Watching.COUNT)
    world.lose(peer)
    assert codes(other) == []
    watch(other, "b")
    join(other, "c")
    assert codes(other) == [Code.PRESENCE_FULL]


def test_all_members_have_so_much_metadata_and_awareness() -> None:
    world = World(presence=PresenceSettings(max_bytes=100))
    peer, other = world.peer("peer"), world.peer("other")
    join(peer, text="x" * 50)
    join(other, text="x" * 50)
    show(peer, text="x" * 50)
    assert codes(other) == [Code.PRESENCE_FULL]
    assert codes(peer) == [Code.PRESENCE_FULL]
    assert world.core.presence.get("wf") is not None
    join(peer, text="x" * 20)
    join(other, text="x" * 20)
    show(peer, at=1)
    assert codes(other) == codes(peer) == []
    leave(peer)
    leave(other)
    assert world.core.presence.stats().held_bytes == 0


def test_nothing_is_left_of_scopes_that_nobody_attends() -> None:
    world = World()
    peers = [world.peer() for _ in range(3)]
    for peer in peers:
        attend(peer, "wf", {"a": 1}, Watching.MEMBERS)
        show(peer, cursor=1)
        leave(peer, "other")
    pass_window(world)
    leave(peers[0])
    world.lose(*peers[1:])
    world.clock.advance(GRACE_S)
    sweep(world)
    stats = world.core.presence.stats()
    assert (stats.scopes, stats.members, stats.watchers, stats.away, stats.held_bytes) == (0, 0, 0, 0, 0)
    assert (stats.joins, stats.leaves) == (3, 3)
    assert not world.clock.timers


def test_a_person_joins_and_watches_by_text() -> None:
    world = World()
    member = world.peer("member")
    join(member, role="trainer")
    show(member, cursor=[1, 2])
    somebody = person(world)
    somebody.send('{"id":7,"message_type":"attend","payload":{"scope":"wf","metadata":{"a":1},"watch":"members"}}')
    pass_window(world)
    answer, roster = news(somebody, world)
    assert (answer["message_type"], answer["payload"]) == ("attending", {"request": 7, "scope": "wf", "count": 2})
    assert roster["message_type"] == "members"
    assert [each["client_id"] for each in roster["payload"]["members"]] == ["member", "person"]
    assert roster["payload"]["awareness"] == {"member": {"cursor": [1, 2]}}
    somebody.send('{"id":8,"message_type":"awareness","payload":{"scope":"wf","state":{"cursor":3}}}')
    pass_window(world)
    (change,) = news(somebody, world)
    assert change["payload"] == {"scope": "wf", "count": 2, "awareness": {"person": {"cursor": 3}}}
    somebody.send('{"id":9,"message_type":"attend","payload":{"scope":"wf/**"}}')
    (error,) = news(somebody, world)
    assert (error["payload"]["code"], error["payload"]["request"]) == (Code.INVALID_NAME, 9)


CLIENTS = st.integers(0, 3)


class PresenceMachine(RuleBasedStateMachine):
    """Clients that come and go, join and leave, watch, stop to read and read on, in any order.

    Members are those connected clients that have joined and not left, and those in their grace; every client that
    watches and reads knows exactly them, and their awareness.
    """

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.peers: dict[int, Peer] = {}
        self.views: dict[int, RosterView] = {}
        self.joined: dict[int, Mapping[str, int]] = {}
        self.aware: dict[int, int] = {}
        self.lost_s: dict[int, float] = {}
        self.generations: dict[int, int] = {}

    def peer(self, client: int) -> Peer:
        if client not in self.peers:
            generation = self.generations.get(client)
            peer = self.peers[client] = self.world.peer(f"client-{client}", (), client + 1, generation)
            self.generations[client] = peer.session.peer.generation
        return self.peers[client]

    @rule(client=CLIENTS, value=st.integers(0, 3))
    def join(self, client: int, value: int) -> None:
        peer = self.peer(client)
        attend(peer, "wf", {"value": value}, Watching.MEMBERS if client in self.views else None)
        self.lost_s.pop(client, None)
        self.joined[client] = {"value": value}

    @rule(client=CLIENTS)
    def leave(self, client: int) -> None:
        if client in self.peers and client not in self.lost_s:
            attend(self.peers[client], "wf", None, Watching.MEMBERS if client in self.views else None)
            self.joined.pop(client, None)
            self.aware.pop(client, None)

    @rule(client=CLIENTS)
    def watch(self, client: int) -> None:
        if client in self.lost_s:
            return
        peer = self.peer(client)
        attend(peer, "wf", self.joined.get(client), Watching.MEMBERS)
        self.views.setdefault(client, RosterView(peer))

    @rule(client=CLIENTS, value=st.integers(0, 3))
    def show(self, client: int, value: int) -> None:
        if client in self.joined and client in self.peers and client not in self.lost_s:
            show(self.peers[client], value=value)
            self.aware[client] = value

    @rule(client=CLIENTS)
    def lose(self, client: int) -> None:
        peer = self.peers.pop(client, None)
        if peer is None:
            return
        self.world.lose(peer)
        self.views.pop(client, None)
        if client in self.joined and client not in self.lost_s:
            self.lost_s[client] = self.world.clock.monotonic_s()

    @rule(client=CLIENTS)
    def come_back(self, client: int) -> None:
        """Connect again while the gateway still has the older connection: it counts as lost."""
        peer = self.peers.pop(client, None)
        self.views.pop(client, None)
        if peer is not None and client in self.joined and client not in self.lost_s:
            self.lost_s[client] = self.world.clock.monotonic_s()
        self.peer(client)
        if peer is not None:
            self.world.core.disconnect(peer.session)

    @rule(client=CLIENTS)
    def stall(self, client: int) -> None:
        if client in self.views:
            self.peers[client].transport.fill_up()

    @rule(client=CLIENTS)
    def read_on(self, client: int) -> None:
        if client in self.peers:
            self.peers[client].transport.read_on()

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.06, 2.0, 4.0]))
    def pass_time(self, seconds: float) -> None:
        self.world.clock.advance(seconds)
        for _ in self.world.core.presence.sweep.work() or ():
            pass
        self.world.turn()
        now_s = self.world.clock.monotonic_s()
        for client, lost_s in list(self.lost_s.items()):
            if lost_s + GRACE_S <= now_s:
                del self.lost_s[client]
                self.joined.pop(client)
                self.aware.pop(client, None)

    @invariant()
    def the_members_are_those_that_have_joined(self) -> None:
        wanted = {f"client-{client}": f'{{"value":{data["value"]}}}'.encode() for client, data in self.joined.items()}
        assert members(self.world) == wanted
        stats = self.world.core.presence.stats()
        assert (stats.members, stats.away, stats.watchers) == (len(wanted), len(self.lost_s), len(self.views))
        assert stats.joins - stats.leaves == stats.members

    def teardown(self) -> None:
        for peer in self.peers.values():
            peer.transport.read_on()
        pass_window(self.world)
        pass_window(self.world)
        for client, view in self.views.items():
            view.read()
            assert view.complete, client
            assert view.metadata == {f"client-{other}": data for other, data in self.joined.items()}
            assert view.awareness == {f"client-{other}": {"value": value} for other, value in self.aware.items()}
        for client in list(self.peers):
            self.lose(client)
        self.world.clock.advance(GRACE_S)
        sweep(self.world)
        assert list(self.world.core.presence) == []


TestPresenceMachine = PresenceMachine.TestCase
TestPresenceMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def test_an_answer_counts_the_members() -> None:
    world = World()
    peer = world.peer()
    watch(peer)
    join(world.peer())
    peer.forget()
    join(peer)
    assert answers(peer) == [Attending(2, "wf", 2)]
