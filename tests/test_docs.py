"""What the pages say is so: their examples run, and every file, function, target and link that they name exists."""

from __future__ import annotations

import ast
import asyncio
import os
import re
import shlex
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import numpy as np
import pytest

from gateway.client import connect
from gateway.config import Settings
from gateway.config.bounds import check_settings
from gateway.config.file import settings_of
from gateway.config.tables import write_table
from gateway.connections.core_settings import CoreSettings
from gateway.ids import StreamName
from gateway.optimizer.history.files import HistoryFiles
from gateway.optimizer.history.layout import pack_record
from gateway.optimizer.history.trial_record import pack_trial
from gateway.protocol.messages import Kind
from gateway.protocol.names import compile_pattern
from gateway.streams.rules import StreamConfig, StreamRules
from gateway.testing import running_gateway
from tests.layout import ROOT, relative
from tests.optimizer.history.records import record, shadow_trial

README: Final = (ROOT / "README.md").read_text("utf-8")
PAGES: Final = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part == "node_modules" for part in path.relative_to(ROOT).parts)
)
CODE_PAGES: Final = sorted([ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
EXAMPLES: Final = sorted((ROOT / "examples").glob("*.py"))

URL: Final = "ws://127.0.0.1:8765"
ADMIN_URL: Final = "http://127.0.0.1:8766"
TIMEOUT_S: Final = 60

BLOCK: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
REFERENCE: Final = re.compile(r"`([\w./-]+\.py)(?::([\w.]+))?`")
PATH: Final = re.compile(r"`((?:gateway|tests|spec|docs|examples|benchmarks)/[\w./-]*)`")
LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
OPERATIONS: Final = (ROOT / "docs" / "operations.md").read_text("utf-8")
TOML_BLOCKS: Final = [body for found, body in BLOCK.findall(OPERATIONS) if found == "toml"]


def blocks(language: str) -> list[str]:
    """The code blocks of the README in a language."""
    return [body for found, body in BLOCK.findall(README) if found == language]


def shell_lines() -> Iterator[list[str]]:
    """The words of each line of the README's shell blocks, comments left out."""
    for body in blocks("sh"):
        for line in body.splitlines():
            if words := shlex.split(line, comments=True):
                yield words


async def run(*arguments: str, cwd: Path) -> str:
    """Run this interpreter, in which the repository can be imported, warnings as errors; returns what it printed."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=cwd,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(TIMEOUT_S):
        out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return out.decode()


def names_in(path: Path) -> set[str]:
    """Classes, functions, methods, constants and attributes of a module: ``Class``, ``Class.method``, ``function``."""
    found: set[str] = set()
    for statement in ast.parse(path.read_text("utf-8")).body:
        match statement:
            case ast.ClassDef(name=outer):
                found.add(outer)
                found |= {f"{outer}.{name}" for inner in statement.body for name in _defined(inner)}
            case _:
                found |= _defined(statement)
    return found


def _defined(statement: ast.stmt) -> set[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
        case ast.Assign(targets=targets):
            return {target.id for target in targets if isinstance(target, ast.Name)}
    return set()


def find(reference: str) -> Path | None:
    """The file that a page means, relative to the repository or to ``gateway``."""
    return next((path for path in (ROOT / reference, ROOT / "gateway" / reference) if path.exists()), None)


def anchors(page: Path) -> set[str]:
    """The anchors that the headings of a page get when it is shown."""
    titles = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text("utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


# What is shown runs.


@pytest.mark.parametrize("text", TOML_BLOCKS)
def test_the_configurations_of_the_operations_page_are_taken(text: str) -> None:
    check_settings(settings_of(tomllib.loads(text), "operations.md"))


@pytest.mark.parametrize("table", ["consumers", "requests"])
def test_the_operations_page_names_every_key_with_its_default(table: str) -> None:
    (shown,) = [tables[table] for tables in map(tomllib.loads, TOML_BLOCKS) if table in tables]
    assert shown == write_table(getattr(Settings().core, table))


@pytest.mark.parametrize("code", blocks("python"))
async def test_the_readme_s_python_runs(code: str, tmp_path: Path) -> None:
    assert URL in code
    async with running_gateway() as gateway:
        script = tmp_path / "example.py"
        script.write_text(code.replace(URL, gateway.url), "utf-8")
        out = await run(str(script), cwd=tmp_path)
        weights = gateway.core.streams.get(StreamName("wf-42/weights"))
        published = 0 if weights is None else weights.next_offset
        assert (published, "wf-42/weights" in code) in ((1, True), (0, False))
        assert published or out


async def test_the_readme_s_async_example_prints_what_it_receives(tmp_path: Path) -> None:
    async with running_gateway() as gateway:
        out = await run("-c", blocks("python")[0].replace(URL, gateway.url), cwd=tmp_path)
    assert "wf-42/weights float32 (256, 64) {'step': 7}" in out


async def test_dead_letters_are_published_again_as_the_operations_page_shows(tmp_path: Path) -> None:
    (code,) = [body for found, body in BLOCK.findall(OPERATIONS) if found == "python" and "dead_letter" in body]
    rules = StreamRules([(compile_pattern("wf-42/tasks"), StreamConfig(kind=Kind.COLLABORATION, max_tries=1))])
    async with (
        running_gateway(Settings(core=CoreSettings(rules=rules))) as gateway,
        connect(gateway.url, client_id="worker") as worker,
        worker.subscribe("wf-42/tasks", auto_ack=False) as tasks,
        worker.subscribe("**.dead") as letters,
    ):
        for step in range(2):
            await worker.publish("wf-42/tasks", np.arange(step), headers={"step": step})
            await (await anext(tasks)).nack()
            await anext(letters)
        for value in (5.0, 6.0):  # packed into one batch, which is answered as one
            worker.publish_nowait("wf-42/tasks", np.full(2, value))
        await (await anext(tasks)).nack()
        assert (await anext(letters)).headers["dead_letter"]["records"] == 2
        assert (await anext(tasks)).tensor[0] == 6.0  # the other record, which the program had already
        out = await run("-c", code.replace(URL, gateway.url), cwd=tmp_path)
        assert out.count("published again: {'stream': 'wf-42/tasks', 'offset': ") == 3
        again = [await anext(tasks) for _ in range(4)]
    assert [(task.tensor.tolist(), task.headers) for task in again] == [
        ([], {"step": 0}),
        ([0], {"step": 1}),
        ([5, 5], {}),
        ([6, 6], {}),
    ]


async def test_a_program_learns_from_a_history_as_the_operations_page_shows(tmp_path: Path) -> None:
    (code,) = [body for found, body in BLOCK.findall(OPERATIONS) if found == "python" and "learn_from_history" in body]
    files = HistoryFiles(tmp_path, 10**6)
    files.append(pack_record(record(2)))
    files.append(pack_trial(shadow_trial(2)))
    files.close()
    assert "/var/lib/frys/traffic" in code
    out = await run("-c", code.replace("/var/lib/frys/traffic", str(tmp_path)), cwd=tmp_path)
    assert out.startswith("wf/2 ")
    assert "less than by samples" in out


@pytest.mark.parametrize("path", EXAMPLES, ids=relative)
async def test_an_example_runs(path: Path, tmp_path: Path) -> None:
    async with running_gateway() as gateway:
        assert await run(str(path), gateway.url, cwd=tmp_path)


async def test_the_readme_s_frys_commands_work(tmp_path: Path) -> None:
    """One gateway for all examples in the order of the README: none hits a stream that another has left otherwise."""
    commands = [words[1:] for words in shell_lines() if words[0] == "frys"]
    (make_weights,) = [words[1:] for words in shell_lines() if words[0] == "python"]
    await run(*make_weights, cwd=tmp_path)
    weights = np.load(tmp_path / "weights.npy")
    async with running_gateway(Settings(store=f"sqlite:{tmp_path / 'streams.db'}")) as gateway:
        for code in blocks("python"):
            await run("-c", code.replace(URL, gateway.url), cwd=tmp_path)
        for command in commands:
            if command[0] in ("pub", "sub", "rm"):
                await run("-m", "gateway", *command, "--url", gateway.url, cwd=tmp_path)
            elif command[0] == "top":
                shown = await run("-m", "gateway", *command, "--admin", str(gateway.admin_url), cwd=tmp_path)
                assert "wf-43/weights" in shown
            else:
                assert await run("-m", "gateway", command[0], "--help", cwd=tmp_path)
    assert {command[0] for command in commands} == {"serve", "demo", "pub", "sub", "rm", "top"}
    saved = tmp_path / "snapshots" / "wf-43" / "weights@00000000.npy"
    assert relative(ROOT / saved.relative_to(tmp_path)) in README
    assert (np.load(saved) == weights).all()


async def test_the_readme_s_http_requests_work(tmp_path: Path) -> None:
    np.save(tmp_path / "weights.npy", np.arange(12).reshape(3, 4))
    body = (tmp_path / "weights.npy").read_bytes()
    requests = [words[1:] for words in shell_lines() if words[0] == "curl"]
    settings = Settings(admin_port=0, store=f"sqlite:{tmp_path / 'streams.db'}")
    async with running_gateway(settings) as gateway, httpx.AsyncClient(timeout=TIMEOUT_S) as client:
        for *options, url in requests:
            assert url.startswith(ADMIN_URL)
            url = url.replace(ADMIN_URL, str(gateway.admin_url))
            match options:
                case ["-T", name]:
                    answer = await client.put(url, content=(tmp_path / name).read_bytes())
                case ["-X", "DELETE"]:
                    answer = await client.delete(url)
                case ["-o", _]:
                    answer = await client.get(url)
                    assert answer.content == body
                case []:
                    answer = await client.get(url)
                case _:
                    pytest.fail(f"curl {' '.join(options)} is not known here")
            assert answer.status_code == 200, answer.text
    assert {request[0] for request in requests} >= {"-T", "-o"}


# What is named exists.


@pytest.mark.parametrize("path", CODE_PAGES, ids=relative)
def test_every_function_that_a_page_names_exists(path: Path) -> None:
    missing = []
    for file, name in REFERENCE.findall(path.read_text("utf-8")):
        found = find(file)
        # `fanout.py` alone, in a page that has said of which folder it speaks.
        known = found is not None or ("/" not in file and any((ROOT / "gateway").rglob(file)))
        if not known or (name and (found is None or name not in names_in(found))):
            missing.append(f"{file}:{name}")
    assert missing == []


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_every_path_that_a_page_names_exists(path: Path) -> None:
    assert [name for name in PATH.findall(path.read_text("utf-8")) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=relative)
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    broken = []
    for link in LINK.findall(BLOCK.sub("", path.read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize(("heading", "package"), [("connections", "connections"), ("the SDK", "client")])
def test_the_tables_of_rooms_name_every_module(heading: str, package: str) -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    section = page.partition(f"### Rooms of {heading}\n")[2].partition("\n##")[0]
    named = set()
    for rooms, modules in re.findall(r"^\| (`.+?) \| .+? \| (.*?)\|$", section, re.M):
        for room in re.findall(r"`([\w./]+?)/?`", rooms):
            named |= (
                {room} if room.endswith(".py") else {f"{room}/{name}" for name in re.findall(r"`(\w+\.py)`", modules)}
            )
    folder = ROOT / "gateway" / package
    assert named == {path.relative_to(folder).as_posix() for path in folder.rglob("*.py") if path.stem != "__init__"}


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    named = {target for page in PAGES for target in re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text("utf-8"), re.M)}
    assert {"run", "test", "bench"} <= named <= targets


def test_the_two_commands_stand_in_the_readme() -> None:
    assert [words[1] for words in shell_lines() if words[0] == "make"] == ["run", "test"]


def test_every_decision_is_in_the_list() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = LINK.findall((folder / "README.md").read_text("utf-8"))
    assert listed == sorted(path.name for path in folder.glob("[0-9]*.md"))


def test_the_benchmarks_have_their_place() -> None:
    assert README.count("<!-- benchmarks -->") == README.count("<!-- /benchmarks -->") == 1
    named = set(re.findall(r"make bench ARGS=(\w+)", README))
    assert named
    assert all((ROOT / "benchmarks" / f"{name}.py").exists() for name in named)
