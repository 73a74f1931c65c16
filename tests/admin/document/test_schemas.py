"""Schemas that promise the fields of a type."""

from __future__ import annotations

from gateway.admin.document.schemas import SCHEMAS
from gateway.connections.snapshots import CoreSnapshot


def test_the_summary_promises_every_field_of_its_snapshot() -> None:
    assert SCHEMAS["Summary"]["properties"].keys() >= CoreSnapshot.__dataclass_fields__.keys()
