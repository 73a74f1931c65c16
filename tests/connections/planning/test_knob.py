"""Knobs: every one has a default, and says in words where it is."""

from gateway.connections.planning.knob import DEFAULTS, Knob, Site


def test_every_knob_has_a_default() -> None:
    assert set(DEFAULTS) == set(Knob)


def test_a_place_is_told_in_words() -> None:
    assert str(Site(Knob.PACING, "viewer-1", 7)) == "pacing of viewer-1"


def test_connections_of_one_client_are_places_of_their_own() -> None:
    assert Site(Knob.PACING, "viewer", 1) != Site(Knob.PACING, "viewer", 2)
