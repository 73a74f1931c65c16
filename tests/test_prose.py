"""Docstrings and comments follow the rules of ``tests/prose_rules.py``, and their cross references resolve."""

from pathlib import Path

import pytest

from tests.layout import SOURCES, relative
from tests.prose import Kind, Text
from tests.prose_rules import faults_in, faults_of
from tests.references import is_defined_at


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_it_reads_at_once(path: Path) -> None:
    faults = faults_in(path)
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        (Text(Kind.FUNCTION, 1, "Send the frame."), True),
        (Text(Kind.FUNCTION, 1, "Send the frame"), False),
        (Text(Kind.FUNCTION, 1, "Sends a frame."), False),
        (Text(Kind.FUNCTION, 1, "Answers a request."), False),
        (Text(Kind.FIELD, 1, "Answers that wait."), True),
        (Text(Kind.CLASS, 1, "Delivery state of a client. Those that wait are counted."), False),
        (Text(Kind.CLASS, 1, "Delivery state of a client.\n\nThose that wait are counted."), False),
        (Text(Kind.CLASS, 1, "Delivery state: ``what. Who`` is code."), True),
        (Text(Kind.MODULE, 1, "What a client gets."), False),
        (Text(Kind.PROPERTY, 1, "It is open."), False),
        (Text(Kind.PROPERTY, 1, "Whether it is open."), True),
        (Text(Kind.FUNCTION, 1, "Whether it is open."), False),
        (Text(Kind.FUNCTION, 1, "Size of the queue.", only_returns=True), False),
        (Text(Kind.FUNCTION, 1, "Return the size of the queue.", only_returns=True), True),
        (Text(Kind.COMMENT, 1, "It is what the peer sent"), True),
        (Text(Kind.COMMENT, 1, "Where it stands. Whoever asks gets it."), False),
    ],
    ids=lambda value: value.words if isinstance(value, Text) else "",
)
def test_faults_are_found(text: Text, is_right: bool) -> None:
    assert (list(faults_of(text)) == []) == is_right


@pytest.mark.parametrize(
    ("target", "is_defined"),
    [
        ("gateway.client.client_core.ClientCore", True),
        ("gateway.client.client.Client.publish", True),
        ("gateway.client.Client", False),
        ("gateway.client.nowhere.Client", False),
        ("gateway.protocol.wire", True),
    ],
)
def test_a_reference_names_a_definition(target: str, is_defined: bool) -> None:
    assert is_defined_at(target, "gateway.errors", 1) == is_defined
