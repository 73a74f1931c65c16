"""Refusals of another kind or durability say what to do."""

from gateway.errors import Code
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind
from gateway.protocol.mismatch import durability_mismatch, kind_mismatch


def test_another_kind() -> None:
    refusal = kind_mismatch("wf/a", Kind.STATE, Kind.EVENT)
    assert refusal.code == Code.KIND_MISMATCH
    advice = "publish with kind state, or to another stream, or delete this one first (frys rm wf/a)"
    assert refusal.message == f"stream wf/a is of kind state, not event: {advice}"


def test_another_durability() -> None:
    refusal = durability_mismatch("wf/a", Durability.MEMORY, Durability.OS)
    assert refusal.code == Code.DURABILITY_MISMATCH
    advice = "publish with durability memory, or to another stream, or delete this one first (frys rm wf/a)"
    assert refusal.message == f"stream wf/a has durability memory, not os: {advice}"


def test_nothing_is_to_be_deleted_where_the_configuration_decides() -> None:
    for refusal in (
        kind_mismatch("wf/a", Kind.STATE, Kind.EVENT, configured=True),
        durability_mismatch("wf/a", Durability.MEMORY, Durability.OS, configured=True),
    ):
        assert refusal.message.endswith(", or to another stream")
