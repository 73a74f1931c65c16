"""Rule of pacing."""

from typing import Any

import pytest

from gateway.connections.links.bottleneck import Bottleneck
from gateway.connections.outbound.link_reading import NamedPosition
from gateway.connections.planning.context import Context, ReceiverFacts
from gateway.connections.planning.knob import Knob, Measure, Site
from gateway.connections.planning.rules.paces import paces
from gateway.protocol.messages import ClientType

PACE = Site(Knob.PACING, "viewer", 7)


def paces_of(receiver: ReceiverFacts, *, paced: bool = False) -> list[Measure]:
    """Return the paces for one receiver."""
    return paces(Context(0.0, receivers=(receiver,), settings={PACE: 1.0} if paced else {}))


def receiver(**facts: Any) -> ReceiverFacts:
    """Return a receiver behind a slow link, with some other facts."""
    slow = ReceiverFacts(7, "viewer", ClientType.AGENT, "lab", 600_000.0, 250_000.0, 0.8, 0.9, 0.0, Bottleneck.LINK)
    return slow._replace(**facts)


def test_a_slow_link_that_delays_states_calls_for_pacing() -> None:
    (measure,) = paces_of(receiver())
    assert measure.site == PACE
    assert measure.value == 1.0
    assert measure.scope == "lab"
    assert measure.reason == (
        "what is sent to it waits 800 ms on its way; 600 kB/s of states are published to it,"
        " and its link carries 250 kB/s"
    )


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"bottleneck": Bottleneck.READER}, "and its program reads 250 kB/s"),
        (
            {"bottleneck": Bottleneck.READER, "program": NamedPosition("lab/x", 7, 120)},
            "and its program, 120 versions behind in lab/x, reads 250 kB/s",
        ),
        ({"program": NamedPosition("lab/x", 7, 1)}, "and its link carries 250 kB/s"),
    ],
)
def test_the_reason_names_the_state_in_which_a_slow_program_is_behind(facts: dict[str, Any], words: str) -> None:
    (measure,) = paces_of(receiver(**facts))
    assert measure.reason.endswith(words)


@pytest.mark.parametrize(
    "facts",
    [{"excess_delay_s": 0.02}, {"demand_bytes_per_s": 0.0}],
    ids=["no delay", "no states"],
)
def test_receivers_whose_states_come_fresh_are_not_paced(facts: dict[str, Any]) -> None:
    assert not paces_of(receiver(**facts))


def test_pacing_stays_until_the_link_has_carried_every_version_for_a_while() -> None:
    paced = receiver(excess_delay_s=0.0)
    assert paces_of(paced, paced=True)
    assert not paces_of(paced._replace(kept_up_s=60.0), paced=True)
