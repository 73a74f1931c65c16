"""Rule of lower views."""

from typing import Any

import pytest

from gateway.connections.links.bottleneck import Bottleneck
from gateway.connections.outbound.link_reading import NamedPosition
from gateway.connections.planning.context import Context, ReceiverFacts, ViewFacts
from gateway.connections.planning.knob import Knob, Measure, Site
from gateway.connections.planning.rules.lower_views import MAX_TIMES, lower_views
from gateway.connections.planning.rules.paces import KEPT_UP_S
from gateway.protocol.messages import ClientType

VIEW = Site(Knob.VIEW, "viewer", 7)


def measures_of(receiver: ReceiverFacts, *, lowered: bool = False) -> list[Measure]:
    """The measures for one receiver."""
    return lower_views(Context(0.0, receivers=(receiver,), settings={VIEW: 1.0} if lowered else {}))


def receiver(**facts: Any) -> ReceiverFacts:
    """A receiver behind a slow link that has named a lower view, with some other facts."""
    slow = ReceiverFacts(7, "viewer", ClientType.AGENT, "lab", 600_000.0, 250_000.0, 0.8, 0.9, 0.0, Bottleneck.LINK)
    return slow._replace(views=ViewFacts(1_000_000.0, 60_000.0, 250_000.0))._replace(**facts)


def test_a_link_that_carries_only_the_lower_view_calls_for_it() -> None:
    (measure,) = measures_of(receiver())
    assert (measure.site, measure.value, measure.scope) == (VIEW, 1.0, "lab")
    assert measure.reason == (
        "its link carries 250 kB/s; the states that it asked for take 1000 kB/s, and 60 kB/s by the lower views"
    )
    (measure,) = measures_of(receiver(bottleneck=Bottleneck.READER))
    assert measure.reason.startswith("its system reads 250 kB/s")


@pytest.mark.parametrize(
    "facts",
    [
        {"views": None},
        {"views": ViewFacts(1_000_000.0, 60_000.0, 950_000.0)},
        {"views": ViewFacts(1_000_000.0, 600_000.0, 250_000.0)},
        {"program": NamedPosition("lab/x", 7, 120)},
        {"kept_up_s": 3.0, "excess_delay_s": 0.01},
    ],
    ids=["not named", "carried", "hardly smaller", "a slow program", "kept up"],
)
def test_it_is_not_called_for_where_it_is_not_allowed_or_would_not_help(facts: dict[str, Any]) -> None:
    assert not measures_of(receiver(**facts))


def test_a_late_receiver_from_which_nothing_is_left_out_gets_it_as_well() -> None:
    assert measures_of(receiver(kept_up_s=60.0, excess_delay_s=0.5))


@pytest.mark.parametrize(
    ("goodput", "times"), [(250_000.0, 4.0), (2_000_000.0, 1.0), (1_000.0, MAX_TIMES), (0.0, MAX_TIMES)]
)
def test_it_stays_for_longer_the_less_the_link_has_carried(goodput: float, times: float) -> None:
    lowered = receiver(views=ViewFacts(1_000_000.0, 60_000.0, goodput), kept_up_s=times * KEPT_UP_S - 1)
    assert measures_of(lowered, lowered=True)
    assert not measures_of(lowered._replace(kept_up_s=times * KEPT_UP_S + 1), lowered=True)
