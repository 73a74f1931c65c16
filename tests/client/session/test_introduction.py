"""Introduction: what a client keeps of WELCOME, and what it draws by itself."""

from __future__ import annotations

from dataclasses import replace

from gateway.client.session.introduction import INSTANCES_BELOW, Introduction
from gateway.ids import ClientId
from gateway.protocol.limits import Limits, WelcomeLimits
from gateway.protocol.messages import Welcome

WELCOME = Welcome(
    version=1,
    client_id=ClientId("agent-5f3a"),
    session="9f",
    peer=17,
    codecs=(),
    filters=(),
    limits=WelcomeLimits.of(Limits()),
    heartbeat_interval_s=20.0,
    time_ns=0,
    generation=12,
)


def test_a_client_keeps_the_name_and_the_last_generation_that_it_was_told() -> None:
    introduction = Introduction(None)
    assert (introduction.client_id, introduction.generation) == (None, None)
    introduction.take(WELCOME)
    assert (introduction.client_id, introduction.generation) == ("agent-5f3a", 12)
    # A gateway that knows no generations does not make an old program look like a new one to the next gateway.
    introduction.take(replace(WELCOME, generation=None))
    assert introduction.generation == 12
    introduction.take(replace(WELCOME, generation=13))
    assert introduction.generation == 13


def test_each_client_draws_a_number_of_its_own_that_stays() -> None:
    one, other = Introduction("worker"), Introduction("worker")
    before = one.instance
    one.take(WELCOME)
    assert one.instance == before != other.instance
    assert 0 <= other.instance < INSTANCES_BELOW
