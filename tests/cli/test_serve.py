"""``frys serve`` says where it listens, stops in good order, and imports nothing that it does not need."""

import errno
import gc
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gateway.cli.exit_code import ExitCode
from gateway.cli.program import run
from gateway.client.sync import connect
from gateway.server.loop import SWITCH_S
from gateway.testing import running_gateway_process
from tests.free_ports import free_port
from tests.security.tokens import Issuer

HEAVY = (
    *("gateway.admin.serving", "gateway.client", "gateway.demo", "gateway.streams.sqlite", "gateway.testing"),
    *("cryptography", "gateway.security.key_ring", "gateway.security.token_authorizer", "jwt"),
    *("anyio", "h11", "http.client", "http.server", "multiprocessing", "nats", "numpy.ma", "numpy.random"),
    *("numpy.testing", "prometheus_client", "pydantic", "rich", "scipy", "sklearn", "sqlite3", "starlette"),
    *("typer", "unittest", "uvicorn", "xml"),
)
"""Packages and modules for which nobody waits until the gateway listens."""


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
        words = r"stopping within 10 s \(SIGINT\); a second signal .*"
        assert re.fullmatch(rf"\S+ \S+ INFO gateway.cli.stopping: {words}\n", err)


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


@pytest.mark.parametrize("host", ["0.0.0.0", "*", ""])
def test_the_url_of_a_gateway_on_all_addresses_can_be_pasted(host: str) -> None:
    with running_gateway_process("--host", host, "--insecure") as gateway:
        assert address_of(gateway.url)[0] == "127.0.0.1"
        assert gateway.admin_url is not None
        for url in (gateway.url, gateway.admin_url):
            socket.create_connection(address_of(url)).close()


def test_the_first_line_says_who_is_admitted(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path / "keys.json")
    for arguments, admitted in (((), "everybody"), (("--keys", issuer.settings.keys), "clients with a token")):
        command = [sys.executable, "-m", "gateway", "serve", "--port", "0", "--no-admin", *arguments]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            process.terminate()
            process.communicate(timeout=20)
        assert re.fullmatch(rf"listening on ws://127\.0\.0\.1:\d+ for {admitted}\n", line)


def test_other_machines_are_not_listened_to_by_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--host", "0.0.0.0", "--port", "0", "--no-admin"]) == ExitCode.USAGE
    told = capsys.readouterr().err
    assert "everybody from there would be admitted" in told
    assert "--insecure" in told


def test_keys_that_cannot_be_read_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--port", "0", "--no-admin", "--keys", f"file:{tmp_path}/none.json"]) == ExitCode.USAGE
    assert "cannot be read: No such file" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--port", "--admin-port"])
def test_a_port_in_use_is_one_line(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ports = {"--port": "0", "--admin-port": "0", option: str(port)}
        assert run(["serve", *(part for pair in ports.items() for part in pair)]) == ExitCode.CANNOT_LISTEN
    captured = capsys.readouterr()
    assert captured.out == ""
    words, reason = option[2:].replace("-", " "), os.strerror(errno.EADDRINUSE)
    advice = "(choose another --host, --port or --admin-port)"
    assert captured.err == f"frys serve: cannot listen: {words} {port} on 127.0.0.1: {reason} {advice}\n"
    assert gc.isenabled()


def test_one_port_for_both_purposes_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("serve", "demo"):
        assert run([command, "--port", "9", "--admin-port", "9"]) == ExitCode.USAGE
        assert f"frys {command}: port and admin_port are both 9: " in capsys.readouterr().err


def test_a_name_that_is_no_host_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", "--host", "a..b", "--insecure", "--port", "0", "--no-admin"]) == ExitCode.CANNOT_LISTEN
    told = capsys.readouterr().err
    assert told.startswith("frys serve: cannot listen: ")
    assert "report" not in told


SHELL_TIMEOUT_S = 60


@pytest.mark.parametrize("without", ["<&-", ">&-", "<&- >&-", "> /dev/full"])
def test_it_serves_without_standard_input_and_output(tmp_path: Path, without: str) -> None:
    """A socket with one of their numbers ended the process by an assertion of libuv when the gateway stopped."""
    log, path, port = tmp_path / "log", tmp_path / "streams.db", free_port()
    command = [sys.executable, "-m", "gateway", "serve", "--port", str(port), "--no-admin", "--store", f"sqlite:{path}"]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            ["/bin/sh", "-c", f'exec "$@" {without}', "sh", *command], stdout=subprocess.DEVNULL, stderr=errors
        ) as process,
    ):
        while process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
        process.terminate()
        assert process.wait(SHELL_TIMEOUT_S) == ExitCode.OK, log.read_text()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["log", "streams.db", "streams.db-lock"]
    assert ("No space left" in log.read_text()) == ("full" in without)


def test_it_serves_although_nobody_reads_its_output() -> None:
    command = [sys.executable, "-m", "gateway", "serve", "--port", "0", "--no-admin"]
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE, text=True) as process:
        os.close(writing)
        assert process.stderr is not None
        line = process.stderr.readline()
        [url] = re.findall(r"listening on (\S+) for everybody \(standard output: Broken pipe\)", line)
        with connect(url) as client:
            client.publish("wf/log", 1.0)
        process.terminate()
        assert process.wait(SHELL_TIMEOUT_S) == ExitCode.OK


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_start_at_once(tmp_path: Path, number: signal.Signals) -> None:
    """Another program holds the file, for which a start waits."""
    path = tmp_path / "streams.db"
    with running_gateway_process("--store", f"sqlite:{path}"):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        command = [sys.executable, "-m", "gateway", "serve", "--port", "0", "--no-admin", "--store", f"sqlite:{path}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            # It waits for the other program once the log is there.
            while process.poll() is None and str(process.pid) not in path.with_name("streams.db-lock").read_text():
                time.sleep(0.01)
            process.send_signal(number)
            _, log = process.communicate(timeout=SHELL_TIMEOUT_S)
            assert (process.returncode, log) == (-number, "")


def test_it_imports_nothing_heavy_before_it_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COVERAGE_PROCESS_START", raising=False)  # coverage imports some of it
    program = (
        "import os, sys\n"
        "from gateway.cli import program, serve\n"
        "def announce(line):\n"
        f"    print(line.partition(' on ')[0], [name for name in {HEAVY} if name in sys.modules], flush=True)\n"
        "    os._exit(0)\n"
        "serve._announce = announce\n"
        "program.run(['serve', '--port', '0', '--admin-port', '0'])\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == "listening []\n"


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


def test_python_code_in_threads_gives_way_to_the_loop() -> None:
    program = (
        "import sys, uvloop\n"
        "from gateway.cli.program import run\n"
        "uvloop.run = lambda main: (main.close(), print(sys.getswitchinterval()))\n"
        "run(['serve', '--port', '0'])\n"
    )
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert float(told) == SWITCH_S


@pytest.mark.parametrize("is_built", [False, True])
def test_the_address_of_the_dashboard_is_printed_where_it_was_built(is_built: bool) -> None:
    program = (
        "from gateway import app\n"
        "from gateway.cli import program\n"
        f"app.has_dashboard = lambda: {is_built}\n"
        "program.run(['serve', '--port', '0', '--admin-port', '0'])\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        admin_url = process.stdout.readline().partition("(admin ")[2].partition(")")[0]
        process.send_signal(signal.SIGTERM)
        more = process.stdout.read()
    assert admin_url
    assert more == (f"dashboard {admin_url}/\n" if is_built else "")
