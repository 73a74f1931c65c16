"""Operator paths: the answers are as the document says."""

from __future__ import annotations

import logging

import httpx

from tests.admin.document.test_openapi import check_answer


async def test_answers_about_the_log(http: httpx.AsyncClient) -> None:
    logging.getLogger("gateway.tests").warning("a line")
    check_answer(await http.get("/api/v1/log"), "/api/v1/log")
    check_answer(await http.get("/api/v1/log/level"), "/api/v1/log/level")
    check_answer(await http.put("/api/v1/log/level", json={"level": "info"}), "/api/v1/log/level", "put")
    check_answer(await http.put("/api/v1/log/level", content=b"{}"), "/api/v1/log/level", "put")
