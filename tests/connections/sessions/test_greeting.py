"""Greeter: HELLO is answered, or the connection is closed with a reason."""

from __future__ import annotations

import pytest

from gateway.connections.core import Core
from gateway.connections.core_settings import CoreSettings
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.connections.ports import Grant
from gateway.connections.sessions.local import LocalConnection
from gateway.errors import Action, Code, RequestRefused, action_of
from gateway.ids import ClientId
from gateway.protocol.codecs import CODEC_NAMES
from gateway.protocol.messages import ClientType, Hello, Kind, Welcome
from gateway.protocol.session_body import write_session
from gateway.protocol.signals import Ping, Pong
from gateway.protocol.state import State
from gateway.security.allow_all import AllowAll
from tests.connections.frames import message_frame
from tests.connections.memory import EVERY_CODEC, FixedPolicy, Peer, World


def welcome_of(peer: Peer) -> Welcome:
    (welcome,) = [entry for entry in peer.read().log if isinstance(entry, Welcome)]
    return welcome


def test_welcome_says_what_was_agreed_on() -> None:
    peer = World().stranger()
    peer.say(Hello((1, 7), ClientType.WORKFLOW, codecs=("snappy", "brotli", "lz4"), filters=("shuffle",)))
    welcome = welcome_of(peer)
    assert welcome.version == 1
    assert set(welcome.codecs) == {"lz4", "snappy"}
    assert list(welcome.codecs) == [name for name in CODEC_NAMES if name in welcome.codecs]
    assert welcome.filters == ("shuffle",)
    assert welcome.peer == peer.session.peer.id
    assert welcome.client_id.startswith("workflow-")
    assert peer.session.state is State.OPEN


def test_clients_of_equal_profiles_share_one() -> None:
    world = World()
    one, two = world.peer("one", EVERY_CODEC), world.peer("two", EVERY_CODEC)
    assert one.session.connection.profile is two.session.connection.profile


def test_a_token_that_is_refused_closes() -> None:
    class Nobody:
        def authenticate(
            self, client_id: ClientId | None, client_type: ClientType, token: str | None, now_s: float
        ) -> Grant:
            raise RequestRefused(Code.FORBIDDEN, "nobody may come")

    world = World()
    world.core = Core(CoreSettings(), world.clock, world.workers, FixedPolicy(), Nobody())
    peer = world.stranger()
    peer.hello()
    assert peer.close_code() == Code.UNAUTHENTICATED
    assert peer.read().codes == [Code.UNAUTHENTICATED]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (write_session(Hello((2,), ClientType.AGENT)), Code.UNSUPPORTED_VERSION),
        (write_session(Hello((1,), ClientType.AGENT, "no spaces")), Code.BAD_HELLO),  # type: ignore[arg-type]
        (b"".join(message_frame(0, 1, b"x")), Code.UNEXPECTED_MESSAGE),
        (bytes(8), Code.MALFORMED_FRAME),
        (b"", Code.MALFORMED_FRAME),
        (bytes(9), Code.MALFORMED_FRAME),
    ],
)
def test_a_greeting_that_fails_closes_and_says_why(data: bytes, code: Code) -> None:
    peer = World().stranger()
    peer.send(data)
    assert peer.close_code() == code
    assert peer.read().codes == [code]
    peer.hello()
    assert not peer.transport.late


def greeted(
    world: World, instance: int | None = None, generation: int | None = None, client_id: str | None = "worker"
) -> Peer:
    """A client that has introduced itself."""
    peer = world.stranger()
    name = None if client_id is None else ClientId(client_id)
    peer.say(Hello((1,), ClientType.AGENT, name, agent="test/1", instance=instance, generation=generation))
    return peer


def generation_of(peer: Peer) -> int:
    generation = welcome_of(peer).generation
    assert generation is not None
    return generation


@pytest.mark.parametrize(("first", "second"), [(1, 2), (None, None), (1, None), (None, 2)])
def test_of_two_programs_with_one_id_the_earlier_is_closed_and_told_why(
    first: int | None, second: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    earlier = greeted(world, first)
    newer = greeted(world, second)
    (error,) = earlier.read().errors
    assert (error.code, earlier.close_code()) == (Code.SUPERSEDED, Code.SUPERSEDED)
    assert action_of(error.code) is Action.DO_NOT_RECONNECT
    described = f"peer {newer.session.peer.id} from 192.0.2.7:4711 (test/1)"
    assert described in error.message
    assert newer.close_code() is None
    assert generation_of(newer) > generation_of(earlier)
    (record,) = caplog.records
    assert described in record.getMessage()
    assert world.core.superseded_connections == 1
    assert list(world.core.pool) == [newer.session]
    earlier.drop()
    earlier.hello()
    assert not earlier.transport.late
    assert list(world.core.pool) == [newer.session]


def test_a_client_that_comes_back_goes_on_with_its_new_connection(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    earlier = greeted(world, 7)
    again = greeted(world, 7, generation_of(earlier))
    assert (earlier.close_code(), again.close_code()) == (Code.RECONNECTED, None)
    assert action_of(Code.RECONNECTED) is Action.RECONNECT
    assert generation_of(again) == generation_of(earlier)
    # An attempt that was made before, and that comes through behind the one that counts, does not end the client.
    late = greeted(world, 7, generation_of(earlier))
    assert (again.close_code(), late.close_code()) == (Code.RECONNECTED, None)
    assert (world.core.superseded_connections, caplog.records) == (0, [])


def test_a_library_that_knows_no_generation_is_told_from_others_by_its_instance() -> None:
    world = World()
    earlier, again = greeted(world, 7), greeted(world, 7)
    assert earlier.close_code() == Code.RECONNECTED
    assert generation_of(again) == generation_of(earlier)


def test_an_older_program_does_not_get_its_id_back_however_often_it_tries() -> None:
    world = World()
    older = greeted(world, 1)
    newer = greeted(world, 2)
    newer.forget()
    for _ in range(100):
        again = greeted(world, 1, generation_of(older))
        (error,) = again.read().errors
        assert (error.code, again.close_code()) == (Code.SUPERSEDED, Code.SUPERSEDED)
        assert f"peer {newer.session.peer.id} " in error.message
        again.drop()
    assert not newer.transport.writes
    assert newer.close_code() is None
    assert list(world.core.pool) == [newer.session]
    assert world.core.superseded_connections == 101


def test_a_newer_program_that_was_away_gets_its_id_back() -> None:
    world = World()
    older = greeted(world, 1)
    newer = greeted(world, 2)
    newer.drop()
    older = greeted(world, 1, generation_of(older))
    assert older.close_code() is None
    again = greeted(world, 2, generation_of(newer))
    assert (older.close_code(), again.close_code()) == (Code.SUPERSEDED, None)
    assert generation_of(again) == generation_of(newer)


def test_generations_go_on_over_a_restart_of_the_gateway() -> None:
    world, after = World(), World()
    older, newer = greeted(world, 1), greeted(world, 2)
    after.clock.advance(1.0)
    newer = greeted(after, 2, generation_of(newer))
    assert greeted(after, 1, generation_of(older)).close_code() == Code.SUPERSEDED
    third = greeted(after, 3)
    assert newer.close_code() == Code.SUPERSEDED
    assert generation_of(third) > generation_of(newer)


def test_a_generation_that_nobody_can_have_given_keeps_no_newer_program_out() -> None:
    world = World()
    boaster = greeted(world, 1, 2**53 - 1)
    assert generation_of(boaster) < 2**53 - 1
    assert greeted(world, 2).close_code() is None
    assert boaster.close_code() == Code.SUPERSEDED


def test_nobody_takes_over_whose_token_is_refused() -> None:
    class OnlyOnce:
        def __init__(self) -> None:
            self._asked = 0

        def authenticate(
            self, client_id: ClientId | None, client_type: ClientType, token: str | None, now_s: float
        ) -> Grant:
            self._asked += 1
            if self._asked > 1:
                raise RequestRefused(Code.FORBIDDEN, "nobody else may come")
            return AllowAll().authenticate(client_id, client_type, token, now_s)

    world = World()
    world.core = Core(CoreSettings(), world.clock, world.workers, FixedPolicy(), OnlyOnce())
    holder = greeted(world, 1)
    assert greeted(world, 2).close_code() == Code.UNAUTHENTICATED
    assert holder.close_code() is None


def test_clients_that_name_no_id_have_each_their_own(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    peers = [greeted(world, instance, client_id=None) for instance in (None, None, 1, 1)]
    assert len({welcome_of(peer).client_id for peer in peers}) == 4
    assert [peer.close_code() for peer in peers] == [None] * 4
    # The name is its own when it comes back, too.
    again = greeted(world, 1, generation_of(peers[2]), client_id=welcome_of(peers[2]).client_id)
    assert (peers[2].close_code(), again.close_code()) == (Code.RECONNECTED, None)
    assert not caplog.records


def test_a_connection_that_is_being_closed_holds_nothing(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    closing = greeted(world, 1)
    closing.session.connection.close(Code.GOING_AWAY, "bye")
    newer = greeted(world, 2)
    assert (closing.close_code(), newer.close_code()) == (Code.GOING_AWAY, None)
    assert (world.core.superseded_connections, caplog.records) == (0, [])


@pytest.mark.parametrize("instance", [1, 2])
def test_what_an_older_connection_has_sent_is_handled_as_after_a_loss(instance: int) -> None:
    world = World()
    subscriber = world.subscriber("wf/*")
    older = world.peer("worker", instance=1)
    older.open(0, "wf/a", Kind.EVENT)
    older.session.backlog.add(lambda: False)
    older.publish(0, b"sent before")
    newer = greeted(world, instance)
    assert older.close_code() == (Code.RECONNECTED if instance == 1 else Code.SUPERSEDED)
    assert not subscriber.read().offsets
    world.settle()
    assert subscriber.read().offsets == [0]
    assert older.session not in list(world.core.pool)
    older.drop()
    assert not older.transport.late
    assert newer.close_code() is None


@pytest.mark.parametrize(("instance", "code"), [(1, Code.RECONNECTED), (2, Code.SUPERSEDED)])
def test_a_connection_that_reads_nothing_is_taken_over_with_the_code_alone(instance: int, code: Code) -> None:
    world = World(delivery=DeliverySettings(urgent_limit_bytes=16))
    older = world.peer("worker", instance=1)
    older.transport.fill_up()
    older.send(Ping(1).write())
    assert older.close_code() is None
    newer = greeted(world, instance)
    assert older.close_code() == code
    assert not older.read().errors
    assert not older.transport.late
    assert list(world.core.pool) == [newer.session]
    older.drop()
    assert list(world.core.pool) == [newer.session]


def test_a_connection_that_is_lost_goes_on_with_what_it_has_sent() -> None:
    world = World()
    subscriber = world.subscriber("wf/*")
    older = world.peer("worker", instance=1)
    older.open(0, "wf/a", Kind.EVENT)
    older.session.backlog.add(lambda: False)
    older.publish(0, b"sent before")
    older.drop()
    assert greeted(world, 1).close_code() is None
    assert older.close_code() is None
    world.settle()
    assert subscriber.read().offsets == [0]


def test_the_connection_by_which_the_gateway_buries_takes_over_from_nobody_and_nobody_from_it() -> None:
    world = World()
    namesake = greeted(world, client_id="gateway")
    own = LocalConnection(world.core, client_type=ClientType.ADMIN_PANEL, client_id=ClientId("gateway"), buries=True)
    greeted(world, client_id="gateway")
    assert namesake.close_code() == Code.SUPERSEDED
    assert not own.closed
    own.close()


def test_hellos_that_come_at_the_same_time_are_answered_in_several_turns_before_what_follows() -> None:
    world = World()
    strangers = [world.stranger() for _ in range(4)]
    world.take_one_step_a_turn()
    for number, peer in enumerate(strangers):
        hello = Hello((1,), ClientType.AGENT, ClientId(f"client-{number}"))
        peer.send(write_session(hello), Ping(number).write())
    assert [peer.session.state for peer in strangers] == [State.OPEN] + [State.GREETING] * 3
    welcomed = [1]
    while world.clock.turn():
        welcomed.append(sum(peer.session.state is State.OPEN for peer in strangers))
    assert welcomed == sorted(welcomed)
    assert set(welcomed) == {1, 2, 3, 4}
    for peer in strangers:
        assert [type(entry) for entry in peer.read().log[:2]] == [Welcome, Pong]


def test_a_hello_that_is_refused_in_a_later_turn_closes_with_its_code() -> None:
    world = World()
    first, second = world.stranger(), world.stranger()
    world.take_one_step_a_turn()
    first.hello()
    second.say(Hello((7,), ClientType.AGENT))
    second.hello()
    assert second.close_code() is None
    world.turn()
    assert second.close_code() == Code.UNSUPPORTED_VERSION
    assert second.read().codes == [Code.UNSUPPORTED_VERSION]


def test_a_second_hello_behind_one_that_waits_is_no_greeting() -> None:
    world = World()
    first, second = world.stranger(), world.stranger()
    world.take_one_step_a_turn()
    first.hello()
    second.hello()
    second.hello()
    world.turn()
    assert second.close_code() == Code.UNEXPECTED_MESSAGE


def test_code_in_the_process_of_the_gateway_is_answered_at_once_in_any_turn() -> None:
    world = World()
    world.take_one_step_a_turn()
    for number in range(3):
        LocalConnection(world.core, client_type=ClientType.AGENT, client_id=ClientId(f"code-{number}"))
    assert [session.state for session in world.core.pool] == [State.OPEN] * 3


@pytest.mark.parametrize("lost", [False, True])
def test_a_hello_that_waits_is_answered_before_that_of_a_newer_connection_of_its_client(lost: bool) -> None:
    world = World()
    first, second, older, newer = [world.stranger() for _ in range(4)]
    newer.client_id = older.client_id
    world.take_one_step_a_turn()
    for peer in (first, second, older):
        peer.hello()
    if lost:
        older.drop()
    world.turns(1)
    assert [peer.session.state for peer in (second, older)] == [State.OPEN, State.GREETING]
    newer.hello()
    world.settle()
    assert newer.session.state is State.OPEN
    assert newer.close_code() is None
    assert older.session.connection.closed
    latest = world.stranger()
    world.turn()
    latest.hello()
    assert latest.session.state is State.OPEN, "nobody waits any more"
