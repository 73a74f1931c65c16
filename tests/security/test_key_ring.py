"""The ring follows its file: keys are added and removed while the gateway runs, and nobody can have it read often."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from gateway.errors import InvalidArgument
from gateway.security.key_ring import MAX_KEY_FILE_BYTES, REREAD_S, KeyRing
from gateway.security.signing_key import SigningKey
from tests.security.tokens import Issuer


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path / "keys.json")


def ring_of(issuer: Issuer) -> KeyRing:
    return KeyRing(issuer.settings.keys, 0.0)


def test_a_key_that_was_added_is_found_without_a_restart(issuer: Issuer) -> None:
    ring, second = ring_of(issuer), SigningKey.generate("ES256", "second")
    issuer.publish(issuer.key, second)
    found = ring.find("second", REREAD_S)
    assert found is not None
    assert found.algorithm == "ES256"
    assert ring.find("first", REREAD_S) is not None
    assert ring.generation == 1


def test_a_key_that_was_removed_is_gone_at_the_next_look(issuer: Issuer) -> None:
    ring = ring_of(issuer)
    issuer.publish(SigningKey.generate("EdDSA", "second"))
    assert ring.find("first", REREAD_S) is not None
    assert ring.look(REREAD_S)
    assert ring.find("first", REREAD_S) is None


def test_names_that_are_unknown_do_not_have_the_file_read_again_and_again(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring, reads = ring_of(issuer), list[Path]()
    really_open = Path.open

    def counted(path: Path, *arguments: str) -> object:
        reads.append(path)
        return really_open(path, *arguments)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", counted)
    for number in range(1000):
        assert ring.find(f"flood-{number}", number / 1000 * 2 * REREAD_S) is None
    assert len(reads) == 1
    assert ring.find("flood", 2 * REREAD_S) is None
    assert len(reads) == 2


@pytest.mark.parametrize("text", ["", "{", '{"keys": []}', "\ud800", "x" * (MAX_KEY_FILE_BYTES + 1)])
def test_a_file_in_the_middle_of_a_write_leaves_the_keys(
    issuer: Issuer, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    ring = ring_of(issuer)
    issuer.path.write_bytes(text.encode(errors="surrogatepass"))
    with caplog.at_level(logging.WARNING):
        assert not ring.look(REREAD_S)
        assert not ring.look(2 * REREAD_S)
    assert ring.find("first", 2 * REREAD_S) is not None
    assert len(caplog.records) == 1


def test_a_file_that_is_gone_leaves_the_keys(issuer: Issuer) -> None:
    ring = ring_of(issuer)
    issuer.path.unlink()
    assert not ring.look(REREAD_S)
    assert ring.find("first", REREAD_S) is not None


def test_a_token_without_a_name_is_for_the_only_key(issuer: Issuer) -> None:
    ring = ring_of(issuer)
    assert ring.find(None, 0.0) is not None
    issuer.publish(issuer.key, SigningKey.generate("EdDSA", "second"))
    ring.look(REREAD_S)
    assert ring.find(None, REREAD_S) is None


def test_keys_from_the_environment(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRYS_KEYS", issuer.path.read_text())
    ring = KeyRing("env:FRYS_KEYS", 0.0)
    assert ring.find("first", 0.0) is not None
    assert not ring.look(REREAD_S)


def test_places_without_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRYS_KEYS", raising=False)
    with pytest.raises(InvalidArgument, match=r"env:FRYS_KEYS is empty: .*frys keys generate"):
        KeyRing("env:FRYS_KEYS", 0.0)
    with pytest.raises(InvalidArgument, match="cannot be read: No such file"):
        KeyRing(f"file:{tmp_path / 'none.json'}", 0.0)
