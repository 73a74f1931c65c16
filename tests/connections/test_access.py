"""A connection ends within a second or two of its token, unless it has got another one."""

from __future__ import annotations

from gateway.connections.access import CLOSED_TOGETHER, LOOKED_AT_TOGETHER
from gateway.connections.core import Core
from gateway.connections.core_settings import CoreSettings
from gateway.connections.ports import Grant
from gateway.connections.sessions.grant import UniformGrant
from gateway.errors import Code
from gateway.ids import ClientId
from gateway.protocol.messages import Authenticate, Authenticated, ClientType, Hello
from tests.connections.memory import FixedPolicy, Peer, World


class Seconds:
    """Permits everything, for the seconds that a token names; without one, for ever."""

    def authenticate(
        self, client_id: ClientId | None, client_type: ClientType, token: str | None, now_s: float
    ) -> Grant:
        return UniformGrant(permitted=True, expires_at_s=None if token is None else now_s + float(token))


def make_world() -> World:
    world = World()
    world.core = Core(CoreSettings(), world.clock, world.workers, FixedPolicy(), Seconds())
    return world


def greet(world: World, client_id: str = "agent", token: str | None = None) -> Peer:
    peer = world.stranger()
    peer.say(Hello((1,), ClientType.AGENT, ClientId(client_id), token=token))
    return peer


def sweep(world: World) -> int:
    """Look for grants that expire, and return the steps that it took."""
    work = world.core.access.sweep.work()
    return len(list(work or ()))


def test_a_connection_ends_with_its_token_and_is_told_to_refresh() -> None:
    world = make_world()
    peer, other = greet(world, "a", "60"), greet(world, "b")
    for _ in range(60):
        world.clock.advance(1.0)
        sweep(world)
    assert peer.close_code() is None
    world.clock.advance(2.0)
    sweep(world)
    assert peer.close_code() == Code.TOKEN_EXPIRED
    assert peer.read().codes == [Code.TOKEN_EXPIRED]
    assert other.close_code() is None
    assert world.core.access.expired == 1
    assert len(world.core.access) == 0


def test_another_token_in_time_lets_it_stay() -> None:
    world = make_world()
    peer = greet(world, token="60")
    world.clock.advance(50.0)
    peer.say(Authenticate(1, "60"))
    assert Authenticated(1, 60.0) in peer.read().log
    world.clock.advance(50.0)
    sweep(world)
    assert peer.close_code() is None
    world.clock.advance(12.0)
    sweep(world)
    assert peer.close_code() == Code.TOKEN_EXPIRED


def test_a_connection_that_is_gone_is_forgotten() -> None:
    world = make_world()
    peer = greet(world, token="60")
    assert len(world.core.access) == 1
    world.lose(peer)
    assert len(world.core.access) == 0


def test_many_tokens_of_one_connection_are_listed_once() -> None:
    world = make_world()
    peer = greet(world, token="60")
    for number in range(1000):
        peer.say(Authenticate(number, str(60 + number)))
    assert len(world.core.access) == 1
    assert len(world.core.access._due) == 1


def test_many_that_expire_together_leave_the_loop_a_chance_and_a_long_sleep_finds_all() -> None:
    world = make_world()
    peers = [greet(world, f"agent-{n}", "60" if n % 2 else "1") for n in range(2 * CLOSED_TOGETHER)]
    world.turn()
    world.clock.advance(1_000_000.0)
    assert sweep(world) >= 1
    assert {peer.close_code() for peer in peers} == {Code.TOKEN_EXPIRED}


class Withdrawing(Seconds):
    """Has withdrawn the grants of some subjects."""

    def __init__(self) -> None:
        self.subjects: set[str] = set()
        self.looks = 0

    def authenticate(
        self, client_id: ClientId | None, client_type: ClientType, token: str | None, now_s: float
    ) -> Grant:
        return UniformGrant(permitted=True, expires_at_s=now_s + 60, subject=client_id)

    def look(self, now_s: float) -> bool:
        self.looks += 1
        return bool(self.subjects)

    def withdrawn(self, grant: Grant) -> bool:
        return grant.subject in self.subjects


def test_a_connection_whose_token_is_withdrawn_ends_at_the_next_look() -> None:
    world, authorizer = World(), Withdrawing()
    world.core = Core(CoreSettings(), world.clock, world.workers, FixedPolicy(), authorizer)
    peers = [greet(world, f"agent-{n}") for n in range(LOOKED_AT_TOGETHER + 5)]
    world.turn()
    sweep(world)
    assert authorizer.looks == 1
    authorizer.subjects = {"agent-0", f"agent-{LOOKED_AT_TOGETHER + 1}"}
    assert sweep(world) == 1
    closed = [number for number, peer in enumerate(peers) if peer.close_code() == Code.TOKEN_REVOKED]
    assert closed == [0, LOOKED_AT_TOGETHER + 1]
    assert world.core.access.revoked == 2
    assert peers[0].read().codes == [Code.TOKEN_REVOKED]
