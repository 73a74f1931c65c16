"""``frys serve`` says where it listens, stops in good order, and imports nothing that it does not need."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateway.cli.exit_code import ExitCode
from gateway.cli.program import run
from gateway.testing import running_gateway_process

HEAVY = ("gateway.client", "gateway.demo", "rich", "sklearn", "scipy")
"""What serving must not wait for."""


def address_of(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def test_a_signal_stops_it_in_good_order() -> None:
    with running_gateway_process("--no-admin") as gateway:
        assert gateway.admin_url is None
        socket.create_connection(address_of(gateway.url)).close()
        gateway.process.send_signal(signal.SIGINT)
        out, err = gateway.process.communicate(timeout=20)
        assert gateway.process.returncode == ExitCode.OK
        assert out == ""
        assert re.fullmatch(r"\S+ \S+ INFO gateway.cli.stopping: stopping within 10 s; a second signal .*\n", err)


def test_a_second_signal_stops_it_at_once() -> None:
    with running_gateway_process("--drain-deadline", "60") as gateway:
        # A peer that says nothing is waited for until the deadline.
        with socket.create_connection(address_of(gateway.url)):
            gateway.process.send_signal(signal.SIGTERM)
            assert gateway.process.stderr is not None
            assert "stopping within 60 s" in gateway.process.stderr.readline()
            gateway.process.send_signal(signal.SIGTERM)
            assert gateway.process.wait(timeout=20) == ExitCode.INTERRUPTED
        assert gateway.admin_url is not None


def test_the_url_of_a_gateway_on_all_addresses_can_be_pasted() -> None:
    with running_gateway_process("--host", "0.0.0.0") as gateway:
        assert address_of(gateway.url)[0] == "127.0.0.1"
        assert gateway.admin_url is not None
        for url in (gateway.url, gateway.admin_url):
            socket.create_connection(address_of(url)).close()


@pytest.mark.parametrize("option", ["--port", "--admin-port"])
def test_a_port_in_use_is_one_line(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = {"--port": "0", "--admin-port": "0", option: str(port)}
        assert run(["serve", *(part for pair in ports.items() for part in pair)]) == ExitCode.CANNOT_LISTEN
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("frys serve: cannot listen: ")
    assert str(port) in captured.err
    assert captured.err.count("\n") == 1


def test_one_port_for_both_purposes_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("serve", "demo"):
        assert run([command, "--port", "9", "--admin-port", "9"]) == ExitCode.USAGE
        assert f"frys {command}: port and admin_port are both 9: " in capsys.readouterr().err


def test_it_imports_nothing_heavy() -> None:
    program = f"import sys, gateway.cli.serve; print([name for name in {HEAVY} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == "[]\n"


def test_a_file_says_what_options_do_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "frys.toml"
    config.write_text(f'port = 1\nstore = "sqlite:{tmp_path}/a.db"\n[[streams]]\npattern = "wf/*"\ndurability = "os"\n')
    with running_gateway_process("--config", str(config)) as gateway:
        assert not gateway.url.endswith(":1")
        assert (tmp_path / "a.db").exists()
        # Another gateway on the same file is refused.
        assert run(["serve", "--port", "0", "--no-admin", "--config", str(config)]) == ExitCode.FAILURE
        assert f"in use by another gateway (process {gateway.process.pid})" in capsys.readouterr().err
    assert run(["serve", "--config", str(config), "--store", "memory"]) == ExitCode.USAGE
    assert "set store to sqlite:PATH" in capsys.readouterr().err
