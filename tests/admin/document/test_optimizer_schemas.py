"""Schemas of the optimizer's answer: those that name others name ones that are there."""

from __future__ import annotations

import re

from gateway.admin.document.optimizer_schemas import OPTIMIZER_SCHEMAS
from gateway.admin.document.schemas import SCHEMAS


def test_every_reference_leads_to_a_schema() -> None:
    named = set(re.findall(r"#/components/schemas/(\w+)", str(OPTIMIZER_SCHEMAS)))
    assert named == {"TriedStream", "Decision"}
    assert named < set(SCHEMAS)
