"""The public API of the SDK changes only where ``tests/public_api.txt`` says so, and its blocking half is its twin."""

import inspect
import re
from collections.abc import Callable
from types import ModuleType

import pytest

from gateway import client
from gateway.client import sync
from tests.public_api import GOLDEN, INTERNAL, MODULES, own_parameters, public_names, result_of, write_api

PAIRS = [name for name in sync.__all__ if isinstance(getattr(sync, name), type)]
"""Classes that exist twice, for asyncio and blocking."""

ASYNC_ONLY = {
    "BatchIterator": "``batches`` of the blocking subscription returns an iterator of the language",
    "Connecting": "``connect`` of the blocking client has connected when it returns",
    "ReplyStream.aclose": "is what ``contextlib.aclosing`` calls",
}
"""Classes and attributes without a blocking twin, and why."""

NOT_TWINS = {
    "Request.wait_cancelled": "has a time limit of its own, where an async program has ``asyncio.timeout``",
}
"""Methods that are not called alike, and why."""

BLOCKING_WORDS = {
    r"AsyncIterator\[(.*)\]": r"Iterator[\1]",
    r"BatchIterator": "Iterator[RecordBatch]",
}
"""Results of async methods, and what the blocking twins return instead."""


def method_pairs() -> list[tuple[str, Callable[..., object], Callable[..., object]]]:
    """Return name, async and blocking function of each method and property that a pair of classes shares."""
    found: list[tuple[str, Callable[..., object], Callable[..., object]]] = []
    for name in PAIRS:
        ours, twins = getattr(client, name), getattr(sync, name)
        for attribute in public_names(ours):
            one, two = inspect.getattr_static(ours, attribute, None), inspect.getattr_static(twins, attribute, None)
            if isinstance(one, property) and isinstance(two, property):
                one, two = one.fget, two.fget
            pair = f"{name}.{attribute}"
            if attribute.startswith("_") or pair in NOT_TWINS:
                continue
            if inspect.isfunction(one) and inspect.isfunction(two):
                found.append((pair, one, two))
    return found


def test_the_public_api_is_what_was_agreed_to() -> None:
    assert write_api() == GOLDEN.read_text("utf-8"), (
        "if this is meant: python -m tests.public_api, and say so in CHANGELOG.md"
    )


def test_every_internal_attribute_still_exists() -> None:
    gone = {
        f"{name}.{attribute}"
        for name, attributes in INTERNAL.items()
        for attribute in attributes.split()
        if not any(hasattr(getattr(module, name, None), attribute) for module in MODULES)
    }
    assert gone == set()


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_public_name_is_documented(module: ModuleType) -> None:
    missing = []
    for name in module.__all__:
        value = getattr(module, name)
        missing += [] if inspect.getdoc(value) else [name]
        if not isinstance(value, type):
            continue
        for attribute in public_names(value):
            member = inspect.getattr_static(value, attribute, None)
            if not attribute.startswith("_") and isinstance(member, property) | inspect.isfunction(member):
                missing += [] if inspect.getdoc(member) else [f"{name}.{attribute}"]
    assert missing == []


def test_every_class_with_coroutines_has_a_blocking_twin() -> None:
    kinds = {name: kind for name in client.__all__ if isinstance(kind := getattr(client, name), type)}
    with_coroutines = {
        name
        for name, kind in kinds.items()
        if any(inspect.iscoroutinefunction(getattr(kind, each, None)) for each in public_names(kind))
    }
    assert with_coroutines - ASYNC_ONLY.keys() == set(PAIRS)


@pytest.mark.parametrize("name", PAIRS)
def test_a_blocking_class_has_what_the_async_one_has(name: str) -> None:
    ours, twins = public_names(getattr(client, name)), public_names(getattr(sync, name))
    named = {each for each in ours if not each.startswith("_") and f"{name}.{each}" not in ASYNC_ONLY}
    assert named == {each for each in twins if not each.startswith("_")}
    assert {attribute.replace("__a", "__", 1) for attribute in ours} >= {each for each in twins if each.startswith("_")}


@pytest.mark.parametrize(("name", "ours", "twin"), method_pairs(), ids=[name for name, _, _ in method_pairs()])
def test_a_blocking_method_is_called_like_the_async_one(
    name: str, ours: Callable[..., object], twin: Callable[..., object]
) -> None:
    assert not inspect.iscoroutinefunction(twin)
    assert own_parameters(twin) == own_parameters(ours)
    expected = result_of(ours)
    for pattern, words in BLOCKING_WORDS.items():
        expected = re.sub(pattern, words, expected)
    assert result_of(twin) == expected


def test_connect_takes_the_same_settings() -> None:
    ours, twin = own_parameters(client.connect), own_parameters(sync.connect)
    assert [parameter for parameter in twin if parameter.name != "loop_factory"] == ours
