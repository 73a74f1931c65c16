"""Failures: every error code of the spec has a status of its own kind, and a body."""

from __future__ import annotations

import json
from typing import Final

import pytest

from gateway.admin.http.failures import STATUSES, failure
from gateway.errors import Action, Code, action_of

NOTICES: Final = (Code.VIEW_LOWERED, Code.VIEW_RESTORED, Code.CHUNKS_ADVISED)
"""Codes of notices, which answer no request."""

ERRORS: Final = [code for code in Code if 5000 <= code < 6000 and code not in NOTICES]


@pytest.mark.parametrize("code", ERRORS, ids=lambda code: code.name)
def test_every_error_code_has_a_status(code: Code) -> None:
    status = STATUSES[code]
    assert 400 <= status < 600
    if action_of(code) is Action.DO_NOT_RECONNECT:
        assert status != 503


@pytest.mark.parametrize("code", [Code.QUEUE_FULL, Code.DRAINING, Code.KIND_MISMATCH, Code.CORRUPT_PAYLOAD])
def test_the_body_names_the_code(code: Code) -> None:
    response = failure(code, "what happened")
    assert json.loads(bytes(response.body)) == {
        "type": "about:blank",
        "title": code.name,
        "status": response.status_code,
        "detail": "what happened",
        "code": code,
        "error": code.name,
        "message": "what happened",
    }
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("code", [Code.QUEUE_FULL, Code.DRAINING, Code.TOO_MANY_CONNECTIONS, Code.TRANSFER_ABORTED])
def test_who_may_try_again_is_told_when(code: Code) -> None:
    assert int(failure(code, "").headers["retry-after"]) > 0


@pytest.mark.parametrize("code", [Code.LIMIT_EXCEEDED, Code.KIND_MISMATCH, Code.CORRUPT_PAYLOAD])
def test_who_may_not_is_not(code: Code) -> None:
    assert "retry-after" not in failure(code, "").headers


def test_a_code_from_the_future_is_the_gateway_s_fault() -> None:
    response = failure(5299, "news")
    assert response.status_code == 500
    assert json.loads(bytes(response.body))["error"] == "CODE_5299"
