"""Greeter: HELLO is answered, or the connection is closed with a reason."""

from __future__ import annotations

import pytest

from gateway.connections.core import Core, CoreSettings
from gateway.connections.ports import Grant
from gateway.errors import Code, RequestRefused
from gateway.ids import ClientId
from gateway.protocol.codecs import CODEC_NAMES
from gateway.protocol.messages import ClientType, Hello, Welcome
from gateway.protocol.session_body import write_session
from gateway.protocol.state import State
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


def test_clients_with_equal_codecs_share_the_set() -> None:
    world = World()
    one, two = world.peer("one", EVERY_CODEC), world.peer("two", EVERY_CODEC)
    assert one.session.connection.codecs is two.session.connection.codecs


def test_a_token_that_is_refused_closes() -> None:
    class Nobody:
        def authenticate(self, client_id: ClientId, client_type: ClientType, token: str | None, now_s: float) -> Grant:
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


def greeted(world: World, instance: int | None, client_id: str | None = "worker") -> Peer:
    """A client that has introduced itself."""
    peer = world.stranger()
    name = None if client_id is None else ClientId(client_id)
    peer.say(Hello((1,), ClientType.AGENT, name, agent="test/1", instance=instance))
    return peer


@pytest.mark.parametrize(("first", "second"), [(1, 2), (None, None), (1, None), (None, 2)])
def test_the_earlier_of_two_clients_with_one_id_is_told(
    first: int | None, second: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    earlier = greeted(world, first)
    assert not earlier.read().notices
    newer = greeted(world, second)
    (notice,) = earlier.read().notices
    assert (notice.code, notice.stream, notice.first, notice.client_id) == (Code.SUPERSEDED, None, None, "worker")
    described = f"peer {newer.session.peer.id} from 192.0.2.7:4711 (test/1)"
    assert described in notice.reason
    assert not newer.read().notices
    (record,) = caplog.records
    assert described in record.getMessage()
    assert world.core.superseded_connections == 1


def test_each_takeover_is_told_once_and_to_the_newest_connection_only() -> None:
    world = World()
    peers = [greeted(world, instance) for instance in (1, 2, 3)]
    assert [len(peer.read().notices) for peer in peers] == [1, 1, 0]
    peers[2].drop()
    greeted(world, 4)
    assert [len(peer.read().notices) for peer in peers[:2]] == [1, 2]


def test_a_client_that_reconnects_is_no_other(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    earlier, again = greeted(world, 7), greeted(world, 7)
    greeted(world, 7, "other")
    closing = greeted(world, 8, "closing")
    closing.session.connection.close(Code.GOING_AWAY, "bye")
    greeted(world, 9, "closing")
    greeted(world, None, None)
    greeted(world, None, None)
    assert not earlier.read().notices
    assert not again.read().notices
    assert (world.core.superseded_connections, caplog.records) == (0, [])
