"""``frys optimizer``: reads what a gateway has recorded, damaged or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.cli.exit_code import ExitCode
from gateway.cli.program import run
from gateway.optimizer.history.files import HistoryFiles, history_files
from gateway.optimizer.history.layout import pack_record
from gateway.optimizer.history.trial_record import pack_trial
from gateway.optimizer.payloads.payload_files import DIRECTORY, PayloadFiles
from tests.optimizer.history.records import record, shadow_trial
from tests.optimizer.payloads.payloads import stored


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    files = HistoryFiles(tmp_path, 10**6)
    for number in (1, 2, 2):
        files.append(pack_record(record(number)))
    files.close()
    return tmp_path


def test_a_table_is_printed(
    directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)  # a runner of tests may set it
    assert run(["optimizer", "history", str(directory)]) == ExitCode.OK
    captured = capsys.readouterr()
    head, first, second, totals = captured.out.splitlines()
    assert head.split()[:3] == ["stream", "encoding", "records"]
    assert first.split()[:3] == ["wf/1", "zstd:1", "1"]
    assert second.split()[:3] == ["wf/2", "zstd:1", "2"]
    assert totals == "3 records in 1 file"
    assert captured.err == ""


def test_nothing_is_cut_off_in_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    stream = "wf/" + "layer." * 20 + "weights"
    files = HistoryFiles(tmp_path, 10**6)
    files.append(pack_record(record(1, stream=stream)))
    files.close()
    assert run(["optimizer", "history", str(tmp_path)]) == ExitCode.OK
    head, line, _ = capsys.readouterr().out.splitlines()
    assert line.startswith(stream)
    assert head.rstrip().endswith("receiver")


def test_json_is_printed(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["optimizer", "history", str(directory), "--json"]) == ExitCode.OK
    found = json.loads(capsys.readouterr().out)
    assert [each["stream"] for each in found["decisions"]] == ["wf/1", "wf/2"]


def test_shadow_trials_stand_below_the_table(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = HistoryFiles(directory, 10**6)
    files.append(pack_trial(shadow_trial(2)))
    files.close()
    assert run(["optimizer", "history", str(directory)]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].startswith("wf/2: 2 receivers with lz4, zstd; 4 encodings tried on 131.1 kB")
    assert lines[4].endswith("to a 2 Mbit/s receiver, no candidate less")
    assert lines[-1] == "3 records in 2 files; 1 shadow trial"
    assert run(["optimizer", "history", str(directory), "--json"]) == ExitCode.OK
    (tried,) = json.loads(capsys.readouterr().out)["tried"]
    assert tried["stream"] == "wf/2"


def test_damaged_files_are_read(
    directory: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (path,) = history_files(directory)
    path.write_bytes(path.read_bytes()[:-1])
    assert run(["optimizer", "history", str(directory)]) == ExitCode.OK
    assert capsys.readouterr().out.splitlines()[-1].startswith("2 records in 1 file; ")
    assert "belong to no sound record" in caplog.text


def test_an_empty_directory_has_no_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["optimizer", "history", str(tmp_path)]) == ExitCode.OK
    assert capsys.readouterr().out == "0 records in 0 files\n"


def test_no_directory_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["optimizer", "history", str(tmp_path / "none")]) == ExitCode.FAILURE
    assert capsys.readouterr().err == f"frys optimizer: {tmp_path / 'none'}: No such file or directory\n"


def test_the_group_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["optimizer"]) == ExitCode.OK
    assert "history" in capsys.readouterr().out


def test_a_replay_is_printed_as_a_table_and_as_json(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = HistoryFiles(directory, 10**6)
    for _ in range(2):
        files.append(pack_record(record(2)) + pack_trial(shadow_trial(2)))
    files.close()
    assert run(["optimizer", "replay", str(directory)]) == ExitCode.OK
    captured = capsys.readouterr()
    assert captured.out.split()[:3] == ["policy", "cost", "regret"]
    assert "3 messages were replayed" in captured.out
    assert captured.out.splitlines()[-1] == "5 records in 2 files; 2 shadow trials"
    assert run(["optimizer", "replay", str(directory), "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["messages"] == 3


def test_a_history_without_trials_is_no_reason_to_fail(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["optimizer", "replay", str(directory)]) == ExitCode.OK
    assert capsys.readouterr().out.startswith("No replay")


def test_a_report_is_printed_in_words_and_as_json(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = HistoryFiles(directory, 10**6)
    files.append(pack_trial(shadow_trial(2)))
    files.close()
    assert run(["optimizer", "report", str(directory)]) == ExitCode.OK
    assert capsys.readouterr().out.startswith(
        "wf/2: none\n  for frys-python receivers that keep up, which decode lz4, zstd\n  because "
    )
    assert run(["optimizer", "report", str(directory), "--json"]) == ExitCode.OK
    (decision,) = json.loads(capsys.readouterr().out)["decisions"]
    assert (decision["stream"], decision["chain"]) == ("wf/2", "none")


def test_encodings_that_were_never_tried_are_replayed_on_stored_payloads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["optimizer", "replay", str(tmp_path), "--try", "zstd:12", "--try", "snappy"]
    assert run(command) == ExitCode.OK
    assert capsys.readouterr().out.startswith("No payloads are stored: encodings can be tried on those of streams with")
    payloads, records = PayloadFiles(tmp_path / DIRECTORY, 10**6, 3600.0), HistoryFiles(tmp_path, 10**6)
    for number in range(3):
        payloads.append(stored(size=65_536, stream="wf/1", time_ns=10 * number).pack())
        records.append(pack_record(record(1, time_ns=10 * number + 5, codecs=("snappy", "zstd"))))
    records.close()
    assert run(command) == ExitCode.OK
    captured = capsys.readouterr().out
    assert captured.startswith("All encodings were tried on 3 stored payloads")
    assert run([*command, "--json"]) == ExitCode.OK
    found = json.loads(capsys.readouterr().out)
    assert found["stored_payloads"] == 3
    assert found["policies"].keys() >= {"zstd:12", "snappy", "oracle", "learned"}


def test_an_encoding_that_there_is_not_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["optimizer", "replay", str(tmp_path), "--try", "gzip"]) == ExitCode.USAGE
    assert "unknown codec 'gzip'" in capsys.readouterr().err
