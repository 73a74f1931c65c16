"""What goes wrong in a process of the demo is reported in one line."""

import json
import subprocess
import sys
from typing import Any

import pytest


def play(role: str, **settings: Any) -> tuple[int, Any, str]:
    command = [sys.executable, "-m", "gateway.demo.child", role, json.dumps(settings)]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    return result.returncode, json.loads(result.stdout), result.stderr


@pytest.mark.parametrize(
    ("role", "settings", "said"),
    [
        ("bogus", {}, "ValueError: unknown role 'bogus'; known roles are gateway, trainer, evaluator"),
        ("gateway", {"bogus": 1}, "TypeError: run() got an unexpected keyword argument 'bogus'"),
        ("gateway", {"port": 0, "admin_port": "x"}, ""),
    ],
    ids=["role", "setting", "value"],
)
def test_a_failure_is_reported(role: str, settings: dict[str, Any], said: str) -> None:
    code, report, stderr = play(role, **settings)
    assert code == 1
    assert report["failed"].startswith(said)
    assert stderr == ""
