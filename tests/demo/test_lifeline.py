"""A process ends when whoever started it lets go."""

import asyncio

import pytest

from tests.demo.ends import lifeline


def test_reports() -> None:
    with lifeline() as ends:
        ends.line.ready(url="ws://x")
        assert ends.hear() == {"ready": {"url": "ws://x"}}
        ends.line.failed("no luck", in_use=True)
        assert ends.hear() == {"failed": "no luck", "in_use": True}


def test_letting_go_is_seen() -> None:
    with lifeline() as ends:
        assert not ends.line.let_go(0)
        assert not ends.line.let_go(-1)
        ends.let_go()
        assert ends.line.let_go(60)


def test_a_coroutine_ends_when_let_go() -> None:
    ended: list[bool] = []

    async def forever() -> None:
        try:
            ends.let_go()
            await asyncio.Event().wait()
        finally:
            # Ending takes several turns of the loop, as closing a connection does.
            for _ in range(5):
                await asyncio.sleep(0)
            ended.append(True)

    with lifeline() as ends:
        ends.line.run(forever())
    assert ended == [True]


def test_a_coroutine_may_end_by_itself() -> None:
    async def fails() -> None:
        raise ValueError("no luck")

    with lifeline() as ends, pytest.raises(ValueError, match="no luck"):
        ends.line.run(fails())
