"""Tests which chain a message is sent with, and how often a payload is sampled for it."""

import numpy as np
import pytest

from gateway.client.sending.codec_choice import RESAMPLE_AFTER, RESAMPLE_BYTES, CodecChoice, check_agreed, parse_codec
from gateway.client.sending.content import Content, content_of
from gateway.errors import InvalidArgument
from gateway.ids import ClientId
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.limits import Limits, WelcomeLimits
from gateway.protocol.messages import Welcome

WELCOME = Welcome(
    version=1,
    client_id=ClientId("a"),
    session="s",
    peer=1,
    codecs=("lz4", "zstd"),
    filters=("shuffle",),
    limits=WelcomeLimits.of(Limits()),
    heartbeat_interval_s=20.0,
    time_ns=0,
)


def counting(size: int = 65536) -> Content:
    """A payload that compresses well."""
    return content_of(np.arange(size) % 100, None)


def test_small_payloads_are_sent_plain_without_a_sample() -> None:
    assert CodecChoice().known(counting(100)) is PLAIN


def test_the_first_large_payload_has_to_be_sampled() -> None:
    choice = CodecChoice()
    assert choice.known(counting()) is None
    chain = choice.sample(counting(), WELCOME)
    assert chain.codec != "none"
    assert choice.known(counting()) == chain


def test_noise_is_sent_plain() -> None:
    noise = content_of(np.random.default_rng(1).integers(0, 256, 200_000, dtype=np.uint8), None)
    assert CodecChoice().sample(noise, WELCOME) == PLAIN


def test_it_samples_again_after_a_while() -> None:
    choice = CodecChoice()
    choice.sample(counting(), WELCOME)
    known = [choice.known(counting()) is not None for _ in range(RESAMPLE_AFTER)]
    assert known == [True] * (RESAMPLE_AFTER - 1) + [False]


@pytest.mark.parametrize("size", [20_000, 200_000, 4_000_000])
def test_while_no_sample_pays_the_next_comes_after_twice_as_many_messages(size: int) -> None:
    noise = content_of(np.random.default_rng(1).integers(0, 256, size, dtype=np.uint8), None)
    zeros = content_of(np.zeros(size, np.uint8), None)
    choice = CodecChoice()
    most = max(RESAMPLE_AFTER, RESAMPLE_BYTES // size)
    for interval in (min(RESAMPLE_AFTER * 2**times, most) for times in range(8)):
        assert choice.sample(noise, WELCOME) == PLAIN
        assert [choice.known(noise) for _ in range(interval)] == [PLAIN] * (interval - 1) + [None]
    assert choice.sample(zeros, WELCOME) != PLAIN
    assert sum(choice.known(zeros) is not None for _ in range(most)) == RESAMPLE_AFTER - 1


def test_a_message_that_is_not_plain_is_not_counted_as_such() -> None:
    choice = CodecChoice()
    assert choice.plain(counting(100))
    assert not choice.plain(counting())
    choice.sample(counting(), WELCOME)
    assert not any(choice.plain(counting()) for _ in range(RESAMPLE_AFTER))
    assert choice.known(counting()) is not None
    noise = content_of(np.random.default_rng(1).integers(0, 256, 65536, dtype=np.uint8), None)
    choice.sample(noise, WELCOME)
    assert [choice.plain(noise) for _ in range(RESAMPLE_AFTER)] == [True] * (RESAMPLE_AFTER - 1) + [False]


def test_it_samples_again_when_dtype_or_shape_change() -> None:
    choice = CodecChoice()
    choice.sample(counting(), WELCOME)
    assert choice.known(counting(65537)) is None
    assert choice.known(content_of(np.zeros(65536, np.float64), None)) is None


def test_of_several_tensors_the_largest_is_sampled() -> None:
    content = content_of({"noise": np.random.default_rng(1).random(10), "weights": np.zeros(100_000)}, None)
    assert CodecChoice().sample(content, WELCOME).codec != "none"


def test_a_named_chain_is_parsed_and_auto_is_none() -> None:
    assert parse_codec("auto") is None
    assert parse_codec("shuffle+zstd:3") == Chain(shuffle=True, codec="zstd", level=3)
    with pytest.raises(InvalidArgument, match="brotli"):
        parse_codec("brotli")


def test_what_was_not_agreed_on_is_refused() -> None:
    check_agreed(Chain.parse("shuffle+lz4"), WELCOME)
    check_agreed(PLAIN, WELCOME)
    with pytest.raises(InvalidArgument, match=r"snappy.*lz4, zstd, shuffle"):
        check_agreed(Chain.parse("snappy"), WELCOME)


def test_an_unknown_codec_is_answered_with_what_there_is() -> None:
    with pytest.raises(
        InvalidArgument, match=r"known are none, .* \(or 'auto', or a chain such as 'shuffle\+zstd:3'\)"
    ):
        parse_codec("gzip")
