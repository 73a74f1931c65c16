"""LogLimit: so many lines of each place in the code, and then how many were left out."""

from __future__ import annotations

import logging

from gateway.server.log_limit import INTERVAL_S, LINES, LogLimit


def record(line: int, number: int = 0) -> logging.LogRecord:
    return logging.LogRecord("gateway", logging.WARNING, "router.py", line, "message %d is wrong", (number,), None)


def test_a_place_has_so_many_lines_in_an_interval() -> None:
    now_s = [0.0]
    limit = LogLimit(lambda: now_s[0])
    assert [limit.filter(record(1)) for _ in range(LINES + 20)] == [True] * LINES + [False] * 20
    assert limit.filter(record(2))
    now_s[0] = INTERVAL_S
    first = record(1, 7)
    assert limit.filter(first)
    assert first.getMessage() == "message 7 is wrong (20 lines like this were left out before)"
    second = record(1, 8)
    assert limit.filter(second)
    assert second.getMessage() == "message 8 is wrong"
