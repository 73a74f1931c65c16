"""The session's states: the table in the code is the one in the spec, and advance follows it."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from gateway.errors import Code, ProtocolViolation, RequestRefused
from gateway.protocol.state import SENT_BY, TRANSITIONS, Event, Role, State, advance
from gateway.protocol.wire import Opcode

SPEC = (Path(__file__).parents[2] / "spec" / "protocol.md").read_text()
OPCODE_ROW = re.compile(r"^\| `(0x[0-9a-f]{2})` \| ([A-Z_]+) \| (client|server|both) \|", re.MULTILINE)
STATE_ROW = re.compile(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$", re.MULTILINE)

DOCUMENTED_OPCODES = OPCODE_ROW.findall(SPEC.partition("## 2. Frames")[2].partition("## 3. Session")[0])
DOCUMENTED_STATES = {
    State(name): {Role.CLIENT: client, Role.SERVER: server, "leaves": leaves}
    for name, client, server, leaves in STATE_ROW.findall(SPEC.partition("## 3. Session")[2].partition("### 3.1")[0])
}


def documented(state: State, role: Role) -> set[Opcode]:
    """The opcodes in a cell of the table: names, "everything", or "everything but" names."""
    cell = DOCUMENTED_STATES[state][role]
    named = {Opcode[name] for name in re.findall(r"[A-Z_]{2,}", cell)}
    return set(SENT_BY[role]) - named if cell.startswith("everything") else named


def test_the_opcodes_of_each_role_are_those_of_spec_section_2() -> None:
    assert {name: int(code, 16) for code, name, _ in DOCUMENTED_OPCODES} == {op.name: op.value for op in Opcode}
    for role in Role:
        assert SENT_BY[role] == {
            Opcode[name] for _, name, sender in DOCUMENTED_OPCODES if sender in (role.value, "both")
        }


def test_all_states_are_documented() -> None:
    assert set(DOCUMENTED_STATES) == set(State) - {State.CLOSED}
    assert set(TRANSITIONS) == set(Role)
    assert all(set(table) == set(State) for table in TRANSITIONS.values())


@pytest.mark.parametrize(("state", "role"), list(itertools.product(DOCUMENTED_STATES, Role)))
def test_the_transitions_are_those_of_spec_section_3(state: State, role: Role) -> None:
    table = TRANSITIONS[role][state]
    assert set(table) - set(Event) == documented(state, role)

    leaves = {State(name) for name in re.findall(r"\(`(\w+)`\)", DOCUMENTED_STATES[state]["leaves"])}
    reached = {target for each in Role for target in TRANSITIONS[each][state].values()} - {state}
    assert reached == leaves


def test_a_session_from_hello_to_close() -> None:
    state = State.GREETING
    steps: list[tuple[Role, Opcode | Event, State]] = [
        (Role.CLIENT, Opcode.PING, State.GREETING),
        (Role.SERVER, Opcode.PONG, State.GREETING),
        (Role.CLIENT, Opcode.HELLO, State.GREETING),
        (Role.SERVER, Opcode.WELCOME, State.OPEN),
        (Role.CLIENT, Opcode.SUBSCRIBE, State.OPEN),
        (Role.SERVER, Opcode.MESSAGE, State.OPEN),
        (Role.SERVER, Opcode.GO_AWAY, State.DRAINING),
        (Role.CLIENT, Opcode.MESSAGE, State.DRAINING),
        (Role.SERVER, Opcode.ACK, State.DRAINING),
        (Role.SERVER, Event.CLOSE, State.CLOSED),
        (Role.CLIENT, Event.CLOSE, State.CLOSED),
    ]
    for role, trigger, expected in steps:
        state = advance(role, state, trigger)
        assert state is expected


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("trigger", [*Opcode, *Event])
def test_advance_follows_the_table(role: Role, state: State, trigger: Opcode | Event) -> None:
    table = TRANSITIONS[role][state]
    if trigger in table:
        assert advance(role, state, trigger) is table[trigger]
    else:
        with pytest.raises(
            ProtocolViolation, match=f"{trigger.name} from the {role.value} .* '{state.value}'"
        ) as violation:
            advance(role, state, trigger)
        assert violation.value.code == Code.UNEXPECTED_MESSAGE


@pytest.mark.parametrize("state", State)
def test_plain_numbers_are_opcodes(state: State) -> None:
    assert advance(Role.SERVER, State.OPEN, 0x0C) is State.DRAINING
    with pytest.raises(RequestRefused, match="0x7f") as refused:
        advance(Role.CLIENT, state, 0x7F)
    assert refused.value.code == Code.UNKNOWN_MESSAGE_TYPE
