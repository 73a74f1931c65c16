"""``frys token`` makes a token that the gateway of its key takes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.cli.exit_code import ExitCode
from gateway.cli.program import run
from gateway.client.sync import connect
from gateway.errors import ConnectionClosed, RequestRefused
from gateway.protocol.messages import ClientType
from gateway.security.key_ring import KeyRing
from gateway.security.permissions import GrantedPatterns
from gateway.security.settings import SecuritySettings
from gateway.security.token_verifier import TokenVerifier, VerifiedToken
from gateway.testing import running_gateway_process


@pytest.fixture(autouse=True)
def _keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["keys", "generate"]) == ExitCode.OK
    capsys.readouterr()


def made_by(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(["token", "--client-id", "trainer", *arguments]) == ExitCode.OK
    return capsys.readouterr().out.split()[-1]


def verified(token: str, audience: str = "frys", issuer: str = "") -> VerifiedToken:
    settings = SecuritySettings(keys="file:keys.json", audience=audience, issuer=issuer)
    return TokenVerifier(KeyRing(settings.keys, 0.0), settings).verify(token, time.time(), 0.0)


def test_it_is_for_an_agent_and_an_hour(capsys: pytest.CaptureFixture[str]) -> None:
    found = verified(made_by(capsys))
    assert found.subject == "trainer"
    assert found.types == frozenset({ClientType.AGENT})
    assert found.expires_at == pytest.approx(time.time() + 3605, abs=60)


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("7d", 604_800)])
def test_times(capsys: pytest.CaptureFixture[str], text: str, seconds: int) -> None:
    assert verified(made_by(capsys, "--ttl", text)).expires_at == pytest.approx(time.time() + seconds + 5, abs=60)


def test_types_audience_and_issuer(capsys: pytest.CaptureFixture[str]) -> None:
    types = ("--client-type", "admin_panel", "--client-type", "workflow", "--client-type", "workflow")
    token = made_by(capsys, *types, "--audience", "other", "--issuer", "me")
    assert verified(token, "other", "me").types == frozenset({ClientType.ADMIN_PANEL, ClientType.WORKFLOW})
    with pytest.raises(RequestRefused, match="audience"):
        verified(token)


def test_permissions(capsys: pytest.CaptureFixture[str]) -> None:
    acts = ("--publish", "wf/*", "--publish", "wf/b/*", "--subscribe", "wf/**", "--request", "agent:*")
    found = verified(made_by(capsys, *acts)).grants
    assert found == GrantedPatterns(publish=("wf/*", "wf/b/*"), subscribe=("wf/**",), request=("agent:*",))
    assert verified(made_by(capsys)).grants is None


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--client-id", "a", "--publish", "wf"], ExitCode.USAGE, "publish: pattern 'wf' is not"),
        (["--client-id", "a--b"], ExitCode.USAGE, "--client-id"),
        (["--client-id", "a" * 101], ExitCode.USAGE, "100 at most"),
        (["--client-id", "a", "--ttl", "1"], ExitCode.USAGE, "is no time such as 90s"),
        (["--client-id", "a", "--ttl", "0s"], ExitCode.USAGE, "is no time"),
        (["--client-id", "a", "--ttl", "9999999999d"], ExitCode.USAGE, "ten years at most"),
        (["--client-id", "a", "--key", "none.json"], ExitCode.FAILURE, "none.json"),
        (["--client-id", "a", "--key", "keys.json"], ExitCode.USAGE, "holds no private JWK"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], code: ExitCode, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["token", *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert captured.err.count("\n") == 1


def test_the_commands_bring_it_to_a_gateway(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_gateway_process("--keys", "file:keys.json") as gateway:
        with pytest.raises(ConnectionClosed, match="asks for a token"):
            connect(gateway.url).__enter__()
        with connect(gateway.url, client_id="trainer", token=made_by(capsys)) as client:
            assert client.publish("wf/a", 1).offset == 0
        monkeypatch.setenv("FRYS_TOKEN", made_by(capsys))
        assert run(["rm", "wf/a", "--url", gateway.url]) == ExitCode.OK
        monkeypatch.setenv("FRYS_TOKEN", made_by(capsys, "--client-type", "admin_panel"))
        top = [sys.executable, "-m", "gateway", "top", "--once", "--admin", gateway.admin_url or ""]
        assert subprocess.run(top, capture_output=True, timeout=60, check=False).returncode == ExitCode.OK
        monkeypatch.delenv("FRYS_TOKEN")
        refused = subprocess.run(top, capture_output=True, timeout=60, check=False, text=True)
        assert refused.returncode == ExitCode.REFUSED
        assert "401" in refused.stderr
