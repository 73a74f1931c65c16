"""Rule of routing."""

from gateway.connections.planning.context import Context, GroupFacts, MemberFacts
from gateway.connections.planning.knob import Knob, Site
from gateway.connections.planning.rules.routings import routes, routings

GROUP = Site(Knob.ROUTING, "group:workers")


def context(group: GroupFacts, *, led: bool = False) -> Context:
    """Return a context with one group."""
    return Context(0.0, groups=(group,), settings={GROUP: 1.0} if led else {})


def group(*times_s: float) -> GroupFacts:
    """Return a group whose members take these times."""
    members = [MemberFacts(f"worker-{peer}", peer, 1, 20, time_s) for peer, time_s in enumerate(times_s)]
    return GroupFacts("group:workers", 100.0, 0.1, tuple(members))


def test_members_that_take_different_times_get_weights() -> None:
    unequal = context(group(0.01, 0.04, 0.01))
    (measure,) = routings(unequal)
    assert measure.site == GROUP
    assert "from 10.0 to 40.0 ms" in measure.reason
    (route,) = routes(unequal)
    assert [(member.client_id, round(member.weight, 6)) for member in route.weights] == [
        ("worker-0", 1.0),
        ("worker-1", 4.0),
        ("worker-2", 1.0),
    ]


def test_members_that_take_about_the_same_time_are_equal() -> None:
    assert not routings(context(group(0.010, 0.012)))
    assert not routings(context(group(0.010)))
    assert routings(context(group(0.010, 0.014), led=True))
    assert not routings(context(group(0.010, 0.011), led=True))


def test_members_without_enough_replies_do_not_count() -> None:
    unknown = group(0.01, 0.04)
    members = tuple([member._replace(replies=2) for member in unknown.members])
    assert not routings(context(unknown._replace(members=members)))
