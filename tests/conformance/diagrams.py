"""Diagrams of the session's states in ``spec/protocol.md``, made from the transition table of the code.

``make diagrams`` writes them into the page, between their markers.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.protocol.state import SENT_BY, TRANSITIONS, Event, Role, State, Trigger
from gateway.protocol.wire import Opcode
from tests.conformance.specification import ROOT

_PAGE: Final = ROOT / "spec" / "protocol.md"
_BLOCK: Final = "<!-- states: {role} -->\n```mermaid\n{diagram}```\n<!-- end -->"


def diagram(role: Role) -> str:
    """Return the states as Mermaid draws them, with the transitions that one side makes by sending or closing."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.GREETING}"]
    for state, table in TRANSITIONS[role].items():
        for target in State:
            triggers = {trigger for trigger, reached in table.items() if reached is target}
            if triggers and state is not State.CLOSED:
                lines.append(f"    {state} --> {target}: {_label(role, triggers)}")
    lines.append(f"    {State.CLOSED} --> [*]")
    return "\n".join(lines) + "\n"


def _label(role: Role, triggers: set[Trigger]) -> str:
    """Name the triggers of one arrow: frames by opcode, and the end of the connection."""
    events = [trigger.value for trigger in triggers if isinstance(trigger, Event)]
    opcodes = {Opcode(trigger) for trigger in triggers if not isinstance(trigger, Event)}
    others = SENT_BY[role] - opcodes
    if len(others) < len(opcodes):
        return ", ".join(["everything but " + " and ".join(_names(others)), *events])
    return ", ".join([*_names(opcodes), *events])


def _names(opcodes: set[Opcode] | frozenset[Opcode]) -> list[str]:
    return [opcode.name for opcode in sorted(opcodes)]


def with_diagrams(page: str) -> str:
    """Return the page with the diagrams of both sides between their markers.

    Raises:
        ValueError: the page has no markers for one of the diagrams.
    """
    for role in Role:
        marked = re.compile(rf"<!-- states: {role} -->.*?<!-- end -->", re.S)
        if not marked.search(page):
            raise ValueError(f"spec/protocol.md has no '<!-- states: {role} -->' that an '<!-- end -->' follows")
        page = marked.sub(_BLOCK.format(role=role, diagram=diagram(role)), page)
    return page


if __name__ == "__main__":
    _PAGE.write_text(with_diagrams(_PAGE.read_text("utf-8")), "utf-8")
