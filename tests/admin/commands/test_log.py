"""Log over HTTP: what is behind a line, filtered, and the level."""

from __future__ import annotations

import logging

import httpx
import pytest

from gateway.admin.commands.log import MAX_CONTAINS_CHARS, Level
from gateway.errors import Code
from tests.admin.files import failure_of

LOG = logging.getLogger("gateway.tests.log")


async def test_each_line_is_read_once(http: httpx.AsyncClient) -> None:
    begun = (await http.get("/api/v1/log")).json()
    for number in range(5):
        LOG.warning("line %d", number)
    answer = (await http.get(f"/api/v1/log?after={begun['next']}&limit=3")).json()
    assert [line["text"] for line in answer["lines"]] == ["line 0", "line 1", "line 2"]
    assert (answer["missed"], answer["next"]) == (0, begun["next"] + 3)
    first = answer["lines"][0]
    assert (first["seq"], first["level"], first["logger"]) == (begun["next"] + 1, "warning", LOG.name)
    rest = (await http.get(f"/api/v1/log?after={answer['next']}")).json()
    assert [line["text"] for line in rest["lines"]] == ["line 3", "line 4"]
    nothing = (await http.get(f"/api/v1/log?after={rest['next']}")).json()
    assert nothing == {"lines": [], "next": rest["next"], "missed": 0}
    anew = (await http.get(f"/api/v1/log?after={rest['next'] + 100}&limit=2")).json()
    assert [line["text"] for line in anew["lines"]] == ["line 3", "line 4"], "a gateway that began anew counts anew"
    assert (anew["next"], anew["missed"]) == (rest["next"], 0)
    newest = (await http.get("/api/v1/log?limit=2")).json()
    assert [line["text"] for line in newest["lines"]] == ["line 3", "line 4"], "without after the last ones"


async def test_lines_by_level_and_text(http: httpx.AsyncClient) -> None:
    LOG.warning("a Warning of wf/a")
    LOG.error("an error of wf/b")
    LOG.critical("the worst of wf/a")
    after = (await http.get("/api/v1/log")).json()["next"] - 3

    async def texts(query: str) -> list[str]:
        found = (await http.get(f"/api/v1/log?after={after}&{query}")).json()
        assert found["next"] == after + 3, "what was left out is not looked at again"
        return [line["text"] for line in found["lines"]]

    assert await texts("level=error") == ["an error of wf/b", "the worst of wf/a"]
    assert await texts("contains=WARNING") == ["a Warning of wf/a"]
    assert len(await texts("contains=tests.log&level=debug")) == 3
    assert await texts("contains=nothing") == []


async def test_the_level_is_set(http: httpx.AsyncClient) -> None:
    before = (await http.get("/api/v1/log/level")).json()["level"]
    assert before in list(Level)
    assert (await http.put("/api/v1/log/level", json={"level": "debug"})).json() == {"level": "debug"}
    LOG.debug("shown now")
    assert (await http.get("/api/v1/log?limit=1&contains=tests.log")).json()["lines"][0]["text"] == "shown now"
    assert (await http.get("/api/v1/log/level")).json() == {"level": "debug"}
    assert (await http.put("/api/v1/log/level", content=b'{"level":"error"}')).status_code == 415
    for body in ({}, {"level": "loud"}, {"level": 10}, {"levl": "info"}):
        assert failure_of(await http.put("/api/v1/log/level", json=body), Code.INVALID_REQUEST, 400), body
    assert (await http.get("/api/v1/log/level")).json() == {"level": "debug"}


@pytest.mark.parametrize(
    "query", ["after=x", "limit=0", "limit=2001", "level=loud", f"contains={'x' * (MAX_CONTAINS_CHARS + 1)}", "tail=1"]
)
async def test_wrong_questions(http: httpx.AsyncClient, query: str) -> None:
    assert failure_of(await http.get(f"/api/v1/log?{query}"), Code.INVALID_REQUEST, 400)


@pytest.mark.parametrize(("number", "level"), [(5, "debug"), (10, "debug"), (25, "info"), (40, "error"), (50, "error")])
def test_a_number_between_two_levels_is_the_lower_one(number: int, level: str) -> None:
    assert Level.of(number) == level
