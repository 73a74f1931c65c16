"""``frys keys`` writes a key that signs, for its owner only, and adds the one that verifies to those of a gateway."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from gateway.cli.exit_code import ExitCode
from gateway.cli.program import run
from gateway.security.signing_key import SigningKey
from gateway.security.token_key import ALGORITHMS, read_keys


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def kids(path: str = "keys.json") -> list[str | None]:
    return list(read_keys(Path(path).read_text(), path))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_pair_of_files(algorithm: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "generate", "--algorithm", algorithm, "--kid", "a"]) == ExitCode.OK
    key = SigningKey.read(Path("signing-key.json").read_text(), "here")
    assert (key.algorithm, key.kid, kids()) == (algorithm, "a", ["a"])
    assert stat.S_IMODE(Path("signing-key.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(Path("keys.json").stat().st_mode) == (0o600 if algorithm == "HS256" else 0o644)
    told = capsys.readouterr().out
    assert str(key.jwk.get("d", key.jwk.get("k"))) not in told
    assert "frys serve --keys file:keys.json" in told
    assert sorted(path.name for path in Path().iterdir()) == ["keys.json", "signing-key.json"]


def test_keys_overlap_while_they_are_replaced() -> None:
    assert run(["keys", "generate", "--kid", "a"]) == ExitCode.OK
    assert run(["keys", "generate", "--kid", "b", "--signing-key", "b.json"]) == ExitCode.OK
    assert kids() == ["a", "b"]


def test_names_that_it_makes_up_differ() -> None:
    for name in ("a.json", "b.json"):
        assert run(["keys", "generate", "--signing-key", name]) == ExitCode.OK
    assert len(set(kids())) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "signing-key.json exists, and may still sign tokens"),
        (["--kid", "a", "--signing-key", "b.json"], "two keys with kid 'a'"),
        (["--algorithm", "HS256", "--signing-key", "b.json"], "HS256 secrets beside public keys"),
        (["--keys", "broken.json", "--signing-key", "b.json"], "neither a JWK set"),
    ],
)
def test_what_would_do_harm_changes_nothing(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["keys", "generate", "--kid", "a"]) == ExitCode.OK
    Path("broken.json").write_text("broken")
    before = {path.name: path.read_text() for path in Path().iterdir()}
    assert run(["keys", "generate", *arguments]) == ExitCode.USAGE
    assert words in capsys.readouterr().err
    assert {path.name: path.read_text() for path in Path().iterdir()} == before


def test_keys_that_cannot_be_written_leave_no_signing_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["keys", "generate", "--keys", "none/keys.json"]) == ExitCode.FAILURE
    assert not Path("signing-key.json").exists()


def test_fields_of_other_keys_are_kept() -> None:
    entry = {**SigningKey.generate("RS256", "other").verifying_jwk, "x5t": "kept"}
    Path("keys.json").write_text(json.dumps({"keys": [entry]}))
    assert run(["keys", "generate", "--kid", "a"]) == ExitCode.OK
    assert json.loads(Path("keys.json").read_text())["keys"][0] == entry
