"""What is revoked follows a file; one that cannot be read changes nothing, so that nobody comes in by damaging it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from gateway.errors import InvalidArgument
from gateway.security.revocations import MAX_FILE_BYTES, Revocations


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "revoked.jsonl"


def revoking(path: Path, *entries: object) -> Revocations:
    path.write_text("".join(json.dumps(each) + "\n\n" for each in entries))
    return Revocations(str(path))


def test_a_token_by_its_id(path: Path) -> None:
    revoked = revoking(path, {"jti": "one"})
    assert revoked.is_revoked("one", "trainer", 5.0)
    assert not revoked.is_revoked("two", "trainer", 5.0)
    assert not revoked.is_revoked(None, "one", None)


def test_all_tokens_of_a_subject(path: Path) -> None:
    revoked = revoking(path, {"sub": "trainer"})
    assert revoked.is_revoked("one", "trainer", 1e12)
    assert not revoked.is_revoked("one", "planner", 5.0)


def test_the_tokens_of_a_subject_that_were_issued_before_a_time(path: Path) -> None:
    revoked = revoking(path, {"sub": "trainer", "before": 100}, {"sub": "trainer", "before": 50})
    assert revoked.is_revoked("one", "trainer", 99.9)
    assert revoked.is_revoked("one", "trainer", None)
    assert not revoked.is_revoked("one", "trainer", 100.0)


def test_it_follows_the_file(path: Path) -> None:
    revoked = revoking(path, {"jti": "one"})
    revoked.look()
    assert revoked.generation == 0
    path.write_text('{"jti": "another"}\n')
    revoked.look()
    assert revoked.generation == 1
    assert revoked.is_revoked("another", "trainer", None)
    assert not revoked.is_revoked("one", "trainer", None)


BAD = ["{", "[]", '"one"', "{}", '{"jti": 7}', '{"jti": ""}', '{"jti": "a", "sub": "b"}', '{"sub": "b", "before": "x"}']


@pytest.mark.parametrize("text", [*BAD, '{"sub": "b", "after": 1}', "\ud800", "\n" * (MAX_FILE_BYTES + 1), "[" * 9999])
def test_a_damaged_file_changes_nothing(path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    revoked = revoking(path, {"jti": "one"})
    path.write_bytes(text.encode(errors="surrogatepass"))
    with caplog.at_level(logging.WARNING):
        revoked.look()
        revoked.look()
    assert revoked.is_revoked("one", "trainer", None)
    assert revoked.generation == 0
    assert len(caplog.records) == 1
    with pytest.raises(InvalidArgument):
        Revocations(str(path))


def test_a_file_that_is_gone_changes_nothing_and_one_that_comes_back_is_read(path: Path) -> None:
    revoked = revoking(path, {"jti": "one"})
    path.unlink()
    revoked.look()
    assert revoked.is_revoked("one", "trainer", None)
    path.write_text('{"jti": "two"}')
    revoked.look()
    assert revoked.is_revoked("two", "trainer", None)


def test_without_a_file_nothing_is_revoked(path: Path) -> None:
    revoked = Revocations("")
    revoked.look()
    assert not revoked.is_revoked("one", "trainer", None)
    with pytest.raises(InvalidArgument, match="cannot be read"):
        Revocations(str(path))
