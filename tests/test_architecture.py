"""The shape of the code: what `docs/architecture.md` and `CONTRIBUTING.md` say about files and imports, checked."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.layout import MODULES, PACKAGES, ROOT, SOURCES, mirror_of, relative

MAX_LINES = 400
"""Past this a file usually holds two responsibilities."""

VAGUE_NAME = re.compile(r"(utils?|helpers?|common|misc|\w*manager|base(_\w+)?)")
"""Names that say nothing of what a module holds, so that anything ends up in it."""

WITHOUT_TESTS = {
    "gateway/ids.py": "names for types, nothing runs",
    "gateway/protocol/limits.py": "default values, exercised by whoever checks a length",
    "gateway/protocol/wire.py": "numbers of the wire, pinned byte by byte by the golden vectors",
    "gateway/protocol/codecs/abc.py": "interfaces only",
    "gateway/connections/fanout/fanout.py": "interfaces only",
    "gateway/connections/ports.py": "interfaces only",
    "gateway/server/endpoint.py": "interfaces only",
    "gateway/optimizer/recording.py": "interfaces only",
    "gateway/optimizer/history/stats.py": "values, nothing runs",
    "gateway/optimizer/shadow/stats.py": "values, nothing runs",
    "gateway/connections/socket_counts.py": "values, nothing runs",
    "gateway/client/messages/frame_sender.py": "interfaces only",
    "gateway/connections/collaboration/workflow.py": "values, nothing runs",
    "gateway/connections/consumers/context.py": "values, nothing runs",
    "gateway/connections/viewing/context.py": "values, nothing runs",
    "gateway/connections/viewing/view_pace.py": "values, nothing runs",
    "gateway/connections/hub/stats.py": "values, nothing runs",
    "gateway/connections/heartbeat/stats.py": "values, nothing runs",
}
"""Modules that need no test module of their own, and why."""

REGISTRY_HOST = re.compile(rb"(pypi|pythonhosted|hosted|npmjs|crates)\.(org|com|io)", re.IGNORECASE)
MACHINE_PATH = re.compile(rb"(?<![\w.*-])/(work|root|farm|home/\w+)/")


def tracked_files() -> list[Path]:
    """Every file that git knows, or would add."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return [path for name in listing.split("\0") if name and (path := ROOT / name).is_file()]


def test_imports_keep_the_contracts() -> None:
    result = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_file_holds_one_responsibility(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_name_says_what_it_holds(path: Path) -> None:
    parts = path.relative_to(ROOT / "gateway").with_suffix("").parts
    assert not [part for part in parts if VAGUE_NAME.fullmatch(part)]


@pytest.mark.parametrize("path", PACKAGES, ids=relative)
def test_an_init_only_re_exports(path: Path) -> None:
    for statement in ast.parse(path.read_text()).body:
        match statement:
            case ast.Expr(value=ast.Constant(value=str())):  # the docstring
                pass
            case ast.Import() | ast.ImportFrom():
                pass
            case ast.Assign(targets=[ast.Name(id="__all__" | "__version__")]):
                pass
            case _:
                pytest.fail(f"{relative(path)}:{statement.lineno} does more than re-export")


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_has_its_test_module(path: Path) -> None:
    expected = mirror_of(path)
    if relative(path) in WITHOUT_TESTS:
        assert not expected.exists(), f"{relative(expected)} exists: take the exception out of WITHOUT_TESTS"
    else:
        assert expected.exists(), f"{relative(expected)} is missing"


def test_every_exception_is_still_a_module() -> None:
    assert {name for name in WITHOUT_TESTS if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("pattern", [REGISTRY_HOST, MACHINE_PATH], ids=["registry host", "machine path"])
def test_no_file_names_a_place_outside_the_repository(pattern: re.Pattern[bytes]) -> None:
    found = [
        f"{relative(path)}: {match.group().decode()}"
        for path in tracked_files()
        for match in pattern.finditer(path.read_bytes())
    ]
    assert found == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.lock")), ids=relative)
def test_a_lock_file_has_versions_and_hashes_only(path: Path) -> None:
    assert "://" not in path.read_text()
