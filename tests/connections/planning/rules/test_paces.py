"""Rule of pacing."""

from typing import Any

import pytest

from gateway.connections.links.bottleneck import Bottleneck
from gateway.connections.outbound.link_reading import NamedPosition
from gateway.connections.planning.context import Context, ReceiverFacts, SlowStart
from gateway.connections.planning.knob import Knob, Measure, Site
from gateway.connections.planning.rules.paces import first_paces, paces
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


def test_pacing_stays_while_lower_views_take_little_of_the_link() -> None:
    calm = receiver(excess_delay_s=0.0, kept_up_s=60.0)
    settings = {PACE: 1.0, PACE._replace(knob=Knob.VIEW): 1.0}
    (measure,) = paces(Context(0.0, receivers=(calm,), settings=settings))
    assert measure.reason.startswith("it gets lower views")
    del settings[PACE]
    assert not paces(Context(0.0, receivers=(calm,), settings=settings))


def test_pacing_stays_until_the_link_has_carried_every_version_for_a_while() -> None:
    paced = receiver(excess_delay_s=0.0)
    assert paces_of(paced, paced=True)
    assert not paces_of(paced._replace(kept_up_s=60.0), paced=True)


def test_a_line_that_would_take_long_for_a_burst_calls_for_pacing_before_a_burst() -> None:
    calm = receiver(excess_delay_s=0.0, burst_s=0.3)
    (measure,) = paces_of(calm)
    assert measure.precaution
    assert measure.reason == "a burst of its states would wait 300 ms on its line"
    assert not paces_of(calm._replace(burst_s=0.1))


def test_the_precaution_stays_while_the_line_is_nearly_as_slow() -> None:
    calm = receiver(excess_delay_s=0.0, kept_up_s=60.0)
    assert [measure.precaution for measure in paces_of(calm._replace(burst_s=0.1), paced=True)] == [True]
    assert not paces_of(calm._replace(burst_s=0.05), paced=True)


def test_a_newcomer_for_which_much_is_on_its_way_is_paced_without_being_measured() -> None:
    start = SlowStart(7, "viewer", "lab", 250_000.0, 100_000, 0.1, 0.3)
    (measure,) = first_paces([start])
    assert measure.site == PACE
    assert measure.known_cost_s == pytest.approx(0.3)
    assert measure.reason == "100 kB are on their way to it, and its system takes 250 kB/s"
    assert measure.precaution
    assert not first_paces([start._replace(waiting_bytes=40_000)])
    assert not first_paces([start._replace(queued_s=0.01)]), "TCP begins on a long way, and the line is fast"


def test_one_that_is_measured_already_is_paced_once() -> None:
    start = SlowStart(7, "viewer", "lab", 250_000.0, 100_000, 0.0, 0.3)
    both = Context(0.0, receivers=(receiver(),), slow_starts=(start, start._replace(peer=8, client_id="other")))
    assert [measure.site.peer for measure in paces(both)] == [7, 8]
