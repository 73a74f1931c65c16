"""``frys.toml``: read, written, and every mistake told with its place."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config import Settings
from gateway.config.bounds import check_settings
from gateway.config.file import read_settings, settings_of, write_settings
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.sessions.outstanding_requests import RequestSettings
from gateway.errors import InvalidArgument
from gateway.ids import StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.messages import Kind
from gateway.protocol.schema import Schema
from gateway.security.permissions import GrantedPatterns
from gateway.security.settings import TypeGrants
from gateway.streams.history import HistoryLimits
from gateway.streams.rules import StreamConfig

FILE = """
port = 9000
admin_port = false
admin_hosts = ["frys.example.com", "gateway"]
store = "sqlite:streams.db"
max_connections = 10

[limits]
max_message_bytes = 1000

[consumers]
ack_timeout_s = 30
max_tries = 2

[requests]
max_handovers = 0

[[streams]]
pattern = "wf-42/metrics/**"
kind = "event"
durability = "fsync"
history = { max_messages = 100, max_age_s = 60 }

[[streams]]
pattern = "wf-42/**"
kind = "state"
schema = { dtype = "float32", shape = ["*", 64] }
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "frys.toml"


def read(path: Path, text: str) -> Settings:
    path.write_text(text, "utf-8")
    return read_settings(path)


def test_what_it_says_stands_and_the_rest_has_its_default(path: Path) -> None:
    settings = read(path, FILE)
    check_settings(settings)
    assert (settings.port, settings.admin_port, settings.store_path) == (9000, None, Path("streams.db"))
    assert settings.admin_hosts == ("frys.example.com", "gateway")
    assert settings.core.max_connections == 10
    assert settings.core.limits == replace(Settings().core.limits, max_message_bytes=1000)
    assert settings.core.consumers == ConsumerSettings(ack_timeout_s=30.0, max_tries=2)
    assert settings.core.requests == RequestSettings(max_handovers=0)
    rules = settings.core.rules
    assert rules.of(StreamName("wf-42/metrics/loss")) == StreamConfig(
        kind=Kind.EVENT, durability=Durability.FSYNC, history=HistoryLimits(max_messages=100, max_age_s=60)
    )
    state = rules.of(StreamName("wf-42/weights"))
    assert state.kind is Kind.STATE
    assert state.schema == Schema.parse({"dtype": "float32", "shape": [None, 64]})
    assert rules.of(StreamName("other/weights")) == StreamConfig()


def test_nothing_is_the_defaults(path: Path) -> None:
    assert write_settings(read(path, "")) == write_settings(Settings())


@pytest.mark.parametrize("text", ["", FILE])
def test_what_is_written_is_read_again(path: Path, text: str) -> None:
    settings = read(path, text)
    again = settings_of(tomllib.loads(write_settings(settings)), "written")
    assert again.core.rules.rules == settings.core.rules.rules
    assert replace(again, core=replace(again.core, rules=settings.core.rules)) == settings


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("port = ", "is not a TOML file: Invalid value (at end of document)"),
        ("prot = 1", "unknown key 'prot': did you mean port?"),
        ("colour = 1", "unknown key 'colour': known keys are admin_hosts, "),
        ("core = 1", "unknown key 'core'"),
        ("port = 99999", "port 99999 is not from 0 to 65535"),
        ("admin_hosts = 'gateway'", "admin_hosts is 'gateway': it takes a list"),
        ("admin_hosts = [7]", "admin_hosts is 7: it takes a text"),
        ("admin_hosts = ['http://a']", "admin_hosts has 'http://a', which is no name of a host"),
        ("[limits]\nmax_strems = 1", "limits: unknown key 'max_strems': did you mean max_streams?"),
        ("[limits]\nmax_connections = 9", "limits: unknown key 'max_connections': it belongs above all tables"),
        ("max_event_hold_s = 9", "unknown key 'max_event_hold_s': it belongs into [delivery]"),
        ("[consumers]\ndurability = 'os'", "consumers: unknown key 'durability': it belongs into [[streams]]"),
        ("heartbeat_interval_s = 0", "heartbeat_interval_s is 0.0: it takes more than 0"),
        ("[consumers]\nack_timeout_s = 0", "consumers: ack_timeout_s is 0.0: it takes more than 0"),
        ("[consumers]\nmax_tries = 0", "consumers: max_tries is 0: it takes more than 0"),
        ("[consumers]\nmax_tries = 1.5", "consumers: max_tries is 1.5: it takes a whole number"),
        ("[consumers]\nack_timeout = 30", "consumers: unknown key 'ack_timeout': did you mean ack_timeout_s?"),
        ("[requests]\nmax_handovers = -1", "requests: max_handovers is -1: it takes no negative number"),
        ("[requests]\nkept_bytes = '1 GiB'", "requests: kept_bytes is '1 GiB': it takes a whole number"),
        ("[streams]\npattern = 'a/b'", "write [[streams]] above each"),
        ("[[streams]]\nkind = 'event'", "[[streams]] number 1 has no pattern"),
        ("[[streams]]\npattern = 'a/b'\n[[streams]]\npattern = 'a'", "[[streams]] number 2: pattern 'a' is not"),
        ("[[streams]]\npattern = 'agent:a'", "[[streams]] number 1: agent:a is an address: a rule is for streams"),
        ("[[streams]]\npattern = 'a/b'\ndurabilty = 'os'", "[[streams]] number 1 (a/b): unknown key 'durabilty'"),
        ("[[streams]]\npattern = 'a/b'\nschema = {dtype = 'f32', shape = []}", "(a/b): schema: unknown dtype 'f32'"),
        ("[[streams]]\npattern = 'a/b'\nschema = 1", "(a/b): schema is 1: it takes a table"),
        (
            "[[streams]]\npattern = 'a/b'\nhistory = {bytes = 1}",
            "history: unknown key 'bytes': did you mean max_bytes?",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place(path: Path, text: str, problem: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        read(path, text)
    assert str(refused.value).startswith(str(path))
    assert problem in str(refused.value)


def test_a_file_that_is_not_there(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_settings(path)


def test_bytes_that_are_no_text(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidArgument, match="is not a TOML file"):
        read_settings(path)


GRANTS = """
[security]
keys = "file:keys.json"

[security.grants.agent]
publish = ["wf-42/*"]
subscribe = ["wf-42/**", "group:workers"]
history = []
"""


def test_grants_by_type_are_read_and_written(path: Path) -> None:
    settings = read(path, GRANTS)
    agents = GrantedPatterns(("wf-42/*",), ("wf-42/**", "group:workers"), history=())
    assert settings.security.grants == TypeGrants(agent=agents)
    assert read(path, write_settings(settings)).security == settings.security


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GRANTS.replace("wf-42/*", "wf-42"), r"\[security.grants.agent\]|publish: pattern 'wf-42' is not"),
        (GRANTS.replace("agent", "agnet"), "unknown key 'agnet': did you mean agent"),
        (GRANTS.replace("publish", "publsh"), "unknown key 'publsh': did you mean publish"),
    ],
)
def test_mistakes_in_grants_are_told_with_their_place(path: Path, text: str, told: str) -> None:
    with pytest.raises(InvalidArgument, match=told):
        read(path, text)
