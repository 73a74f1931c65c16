"""The ``frys`` command starts, and says what to install where the ``server`` extra is missing."""

import subprocess
import sys

# Any import of click fails as it does where click is not installed.
WITHOUT_CLICK = "import runpy, sys; sys.modules['click'] = None; runpy.run_module('gateway', run_name='__main__')"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=60)


def test_python_m_gateway_is_the_command() -> None:
    result = run("-m", "gateway", "--help")
    assert result.returncode == 0, result.stderr
    assert "serve" in result.stdout


def test_a_missing_extra_is_one_clear_line() -> None:
    result = run("-c", WITHOUT_CLICK)
    assert result.returncode == 1
    advice = "install the command line with: pip install 'frys-gateway[server]'"
    assert result.stderr == f"frys: click is not installed; {advice}\n"
