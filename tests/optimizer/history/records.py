"""Traffic records and shadow trials for tests: one, and any."""

from __future__ import annotations

from hypothesis import strategies as st

from gateway.optimizer.history.record import PayloadFeatures, ShadowTrial, TrafficRecord, TriedChain

REALS = st.none() | st.floats(-(2.0**120), 2.0**120, width=32)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=100)
WHOLES = st.integers(0, 2**63)
PLAIN_NAMES = st.text("abcdefgh0123456789", min_size=1, max_size=10)

ANY_FEATURES = st.builds(
    PayloadFeatures,
    zero_share=REALS,
    unchanged_share=REALS,
    repeated_share=REALS,
    plane_entropy_bits=st.lists(st.floats(0, 8, width=32), max_size=16).map(tuple),
)

ANY_RECORD = st.builds(
    TrafficRecord,
    time_ns=WHOLES,
    stream=TEXTS,
    view=TEXTS,
    format=TEXTS,
    codecs=st.lists(PLAIN_NAMES, max_size=10).map(tuple),
    tier=TEXTS,
    sdk=TEXTS,
    chain=TEXTS,
    dtype=TEXTS,
    shape=st.lists(WHOLES, max_size=32).map(tuple),
    tensors=st.integers(0, 2**32 - 1),
    payload_bytes=WHOLES,
    published_encoding=TEXTS,
    published_bytes=st.none() | WHOLES,
    sent_bytes=st.none() | WHOLES,
    encode_s=REALS,
    messages=WHOLES,
    arrival_interval_s=REALS,
    burstiness=REALS,
    cpu_headroom=REALS,
    receivers=st.integers(0, 2**32 - 1),
    client=TEXTS,
    rtt_s=REALS,
    goodput_bytes_per_s=REALS,
    queue_delay_s=REALS,
    decode_s_per_byte=REALS,
    features=ANY_FEATURES,
)

SECONDS = st.floats(0, 1000, width=32)

ANY_TRIAL = st.builds(
    ShadowTrial,
    time_ns=WHOLES,
    stream=TEXTS,
    view=TEXTS,
    dtype=TEXTS,
    shape=st.lists(WHOLES, max_size=32).map(tuple),
    sample_bytes=WHOLES,
    based=st.booleans(),
    drifted=st.booleans(),
    cpu_s=SECONDS,
    tried=st.lists(st.builds(TriedChain, PLAIN_NAMES, WHOLES, SECONDS, SECONDS), max_size=12).map(tuple),
    features=ANY_FEATURES,
)


def record(number: int = 1, **fields: object) -> TrafficRecord:
    """A record whose stream has this number."""
    values: dict[str, object] = {
        "time_ns": 1_700_000_000_000_000_000 + number,
        "stream": f"wf/{number}",
        "format": "frys.v1",
        "codecs": ("lz4", "zstd"),
        "tier": "loopback",
        "sdk": "frys-python",
        "chain": "zstd:1",
        "dtype": "float32",
        "shape": (64, 4),
        "tensors": 1,
        "payload_bytes": 1024,
        "published_bytes": 1024,
        "sent_bytes": 256,
        "encode_s": 0.25,
        "messages": 3,
        "receivers": 2,
    }
    return TrafficRecord(**(values | fields))  # type: ignore[arg-type]


def shadow_trial(number: int = 1, **fields: object) -> ShadowTrial:
    """A shadow trial of the stream with this number: an image, as measured on 2 cores in November 2026."""
    values: dict[str, object] = {
        "time_ns": 1_700_000_000_000_000_000 + number,
        "stream": f"wf/{number}",
        "dtype": "float32",
        "shape": (512, 256),
        "sample_bytes": 131_072,
        "cpu_s": 0.0078125,
        "tried": (
            TriedChain("none", 131_072, 0.0, 0.0),
            TriedChain("lz4", 61_249, 2.0**-13, 2.0**-15),
            TriedChain("zstd:1", 47_148, 2.0**-11, 2.0**-13),
            TriedChain("pco:8", 26_479, 2.0**-9, 2.0**-13),
        ),
    }
    return ShadowTrial(**(values | fields))  # type: ignore[arg-type]
