"""Settings with which a gateway cannot work are refused, with the key and the values that it takes."""

from __future__ import annotations

import tomllib

import pytest

from gateway.config import Settings
from gateway.config.bounds import FRAME_ROOM_BYTES, check_settings, check_start
from gateway.config.file import settings_of
from gateway.connections.core_settings import CoreSettings
from gateway.errors import InvalidArgument
from gateway.protocol.durability import Durability
from gateway.protocol.limits import Limits
from gateway.protocol.names import compile_pattern
from gateway.security.settings import SecuritySettings
from gateway.streams.rules import StreamConfig, StreamRules

DURABLE = CoreSettings(rules=StreamRules([(compile_pattern("wf/*"), StreamConfig(durability=Durability.FSYNC))]))

RULE = "[[streams]]\npattern = 'a/*'\n"
SCHEMA = RULE + "schema = { dtype = 'float32', shape = [1024, 1024] }\n"


def test_the_defaults_are_good() -> None:
    check_settings(Settings())


def test_durable_streams_need_a_file() -> None:
    check_settings(Settings(store="sqlite:a.db", core=DURABLE))
    with pytest.raises(InvalidArgument, match=r"streams wf/\* have durability fsync.*set store to sqlite:PATH"):
        check_settings(Settings(core=DURABLE))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "[limits]\nchunk_bytes = 100_000",
            "chunk_bytes is 100000: it takes a multiple of 64 from 4096 to 4194304",
        ),
        ("[limits]\nchunk_bytes = 64", "limits.chunk_bytes is 64: "),
        ("[limits]\nmax_frame_bytes = 100", "limits.max_frame_bytes is 100: it takes "),
        ("[limits]\nmax_streams = 0", "limits.max_streams is 0: it takes 1 or more"),
        ("[limits]\nmax_aliases = 0", "limits.max_aliases is 0"),
        ("[limits]\nmax_message_bytes = 0", "limits.max_message_bytes is 0"),
        ("[limits]\nmax_streams = 9007199254740992", "it takes 9007199254740991 at most"),
        ("port = 8766", "port and admin_port are both 8766: give each a port of its own"),
        ("max_connections = 0", "max_connections is 0: it takes 1 or more"),
        ("heartbeat_interval_s = 1e-6", "heartbeat_interval_s is 1e-06: it takes 0.01 or more"),
        ("drain_deadline_s = 1e300", "drain_deadline_s is 1e+300: it takes 1000000000 at most"),
        ("[consumers]\nack_timeout_s = 1e12", "consumers.ack_timeout_s is 1000000000000.0: "),
        ("[consumers]\nlimit_bytes = 1000", "consumers.hold_bytes is 16777216, above consumers.limit_bytes 1000"),
        (
            "[overload]\nmemory_limit_bytes = 100_000_000",
            "overload.memory_limit_bytes is 100000000: it takes 134217728 or more, since",
        ),
        ("[delivery]\nurgent_limit_bytes = 1", "delivery.urgent_limit_bytes is 1: it takes 65536 or more"),
        (RULE + "store_payloads = true", "streams a/* have store_payloads, but there is no directory for them: set"),
        (RULE + "latency_objective_s = 0.001", "latency_objective_s of streams a/* is 0.001: it takes 0.002 or more"),
        (RULE + "ack_timeout_s = 1e-9", "ack_timeout_s of streams a/* is 1e-09: it takes 0.01 or more"),
        (
            RULE + "consumer_ttl_s = 1e12",
            "consumer_ttl_s of streams a/* is 1000000000000.0: it takes ",
        ),
        (RULE + "history = { max_age_s = 1e300 }", "history.max_age_s of streams a/* is 1e+300: it takes "),
        ("[requests]\nkept_bytes = 0", "requests.kept_bytes is 0: it takes 1 or more"),
        (SCHEMA + "kind = 'event'", "streams a/* have kind event and a schema"),
        (
            SCHEMA + "[limits]\nmax_message_bytes = 1_000_000",
            "a schema of 4194304 bytes, above limits.max_message",
        ),
    ],
)
def test_a_setting_with_which_no_gateway_can_work_is_refused(text: str, problem: str) -> None:
    settings = settings_of(tomllib.loads(text), "frys.toml")
    with pytest.raises(InvalidArgument) as refused:
        check_settings(settings)
    assert problem in str(refused.value)


@pytest.mark.parametrize("text", ["[delivery]\nmax_event_hold_s = 0", RULE + "history = { max_age_s = 0 }"])
def test_a_time_of_0_is_taken_where_it_means_none(text: str) -> None:
    check_settings(settings_of(tomllib.loads(text), "frys.toml"))


def test_the_smallest_frame_is_taken() -> None:
    limits = Limits(max_frame_bytes=4096 + FRAME_ROOM_BYTES)
    check_settings(Settings(core=CoreSettings(limits=limits)))


@pytest.mark.parametrize("host", ["0.0.0.0", "", "10.0.0.1"])
def test_strangers_are_not_admitted_by_mistake(host: str) -> None:
    with pytest.raises(InvalidArgument, match=r"everybody from there .*: give .*--keys.*127\.0\.0\.1; --insecure"):
        check_start(Settings(host=host))
    check_start(Settings(host=host, security=SecuritySettings(keys="file:keys.json")))
    check_start(Settings(host=host, security=SecuritySettings(insecure=True)))
