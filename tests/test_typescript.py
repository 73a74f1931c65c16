"""The rules for names, sizes, mirror tests and prose hold for the JavaScript client as well."""

import json
import re
from pathlib import Path
from typing import Final

import pytest

from gateway.errors import Code
from gateway.protocol.wire import Opcode
from tests.layout import ROOT, relative
from tests.prose import Kind
from tests.prose_rules import faults_of
from tests.test_architecture import MAX_LINES, VAGUE_NAME
from tests.typescript import FOLDER, SOURCES, TESTS, mirror_of, texts_in

WITHOUT_TESTS: Final = {
    "client_parts.ts": "wiring, which the tests of all folders use by way of fakes.ts",
    "index.ts": "exports only",
    "option_fault.ts": "words of the check of options, whose tests read them",
    "options.ts": "types, nothing runs",
    "page.ts": "exports of the file for a script tag, which tests/packaging runs",
    "presence/presence.ts": "the face of a presence, exercised by the tests of the presences",
    "requests/address_queue.ts": "queues of the requester, exercised by its tests",
    "requests/inbox.ts": "the faces of inboxes and requests, exercised by the tests of the responder",
    "requests/requests_part.ts": "wiring of requester and responder, exercised by their tests",
    "requests/reply_queue.ts": "queues of the responder, exercised by its tests",
    "sending/send_queue.ts": "the common part of queues, exercised by the tests of the publisher",
    "sending/sending_part.ts": "wiring of publisher and sender, exercised by the tests of the publisher",
    "sending/sender.ts": "turns of the queues, exercised by the tests of the publisher",
    "subscribing/stream_sinks.ts": "frames to subscriptions, exercised by the tests of the subscriptions",
    "worker/frys_worker.ts": "program of the worker: tests/browser runs it",
    "worker/posts.ts": "types, nothing runs",
    "worker/start.ts": "needs a page: tests/browser starts workers of both origins",
    "session/wire.ts": "types, and bounds that the tests of the publisher reach",
    "protocol/limits.ts": "default values, exercised by whoever checks a length",
    "protocol/messages.ts": "types, nothing runs",
    "protocol/opcodes.ts": "numbers, which are compared with those of Python here",
    "protocol/codecs/offered.ts": "names, which the test of the registry compares with its codecs",
    "protocol/codecs/abc.ts": "interfaces, and errors that the codecs throw",
    "protocol/codecs/pco.ts": "refuses only; the test of the registry asks it",
}
"""Modules that need no test module of their own, and why."""

OF_ITS_OWN: Final = {
    "buffers": "views over memory and their joining, for which Python has memoryview and bytes.join",
    "codecs/offered": "names of codecs without their code, which a page loads late or never",
    "codecs/words": "bytes as words of the machine, for which Python has numpy",
    "contents": "tensors of a frame: in Python a part of the client's decoding",
    "exact_json": "integers of 64 bits in JSON, which Python reads without help",
    "addresses": "names that a page has seldom, and loads with requests or presence",
    "narrow_floats": "floats of 16 bits, which numpy has",
    "opcodes": "types of frames, in Python a part of wire: by themselves a bundler writes them as numbers",
    "narrowing": "rounding to these, which numpy has, and pages load with views",
}
"""Modules of the protocol that Python has not, and why."""


def test_there_is_something_to_check() -> None:
    assert len(SOURCES) > 20
    assert len(TESTS) > 20


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=relative)
def test_a_file_holds_one_responsibility(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= MAX_LINES
    assert not VAGUE_NAME.fullmatch(path.name.split(".")[0])


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_module_has_its_test_module(path: Path) -> None:
    name = path.relative_to(FOLDER / "src").as_posix()
    assert mirror_of(path).exists() != (name in WITHOUT_TESTS)


def test_every_exception_is_still_a_module() -> None:
    assert {name for name in WITHOUT_TESTS if not (FOLDER / "src" / name).exists()} == set()
    assert {name for name in OF_ITS_OWN if not (FOLDER / "src" / "protocol" / f"{name}.ts").exists()} == set()


@pytest.mark.parametrize("path", sorted((FOLDER / "src" / "protocol").rglob("*.ts")), ids=relative)
def test_a_module_of_the_protocol_has_the_name_that_it_has_in_python(path: Path) -> None:
    name = path.relative_to(FOLDER / "src" / "protocol").with_suffix("").as_posix()
    assert (ROOT / "gateway" / "protocol" / f"{name}.py").exists() != (name in OF_ITS_OWN)


@pytest.mark.parametrize(
    ("page", "pattern", "names"),
    [
        ("errors.ts", r"^  (\w+): (\w+),$", Code),
        ("protocol/opcodes.ts", r"^export const (\w+) = (\w+) as const;$", Opcode),
    ],
    ids=["codes", "opcodes"],
)
def test_numbers_of_the_wire_are_those_of_python(page: str, pattern: str, names: type[Code] | type[Opcode]) -> None:
    source = (FOLDER / "src" / page).read_text("utf-8")
    block = source.partition(f"export const {names.__name__} = {{")[2].partition("}")[0] or source
    found = {name: int(number, 0) for name, number in re.findall(pattern, block, re.MULTILINE)}
    assert found == {entry.name: entry.value for entry in names}


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=relative)
def test_it_reads_at_once(path: Path) -> None:
    found = [(text.line, fault) for text in texts_in(path.read_text("utf-8")) for fault in faults_of(text)]
    assert found == []


def test_texts_are_found_with_what_they_describe() -> None:
    source = """/** Sums of numbers. */

import { a } from "./a.ts";

/**
 * Return a sum.
 *
 * @param values numbers.
 */
export function sumOf(values: number[]): number {
  // Why it is
  // so.
  return 0;
}

/** Sums that were made: see {@link sumOf}. */
export interface Sums {
  /** Whether it is a sum. */
  readonly isSum: boolean;
}
"""
    assert [(text.kind, text.line, text.words) for text in texts_in(source)] == [
        (Kind.MODULE, 1, "Sums of numbers."),
        (Kind.FUNCTION, 5, "Return a sum."),
        (Kind.CLASS, 16, "Sums that were made: see `sumOf`."),
        (Kind.FIELD, 18, "Whether it is a sum."),
        (Kind.COMMENT, 11, "Why it is so."),
    ]


def test_the_lock_file_has_versions_and_hashes_only() -> None:
    packages = json.loads((FOLDER / "package-lock.json").read_text("utf-8"))["packages"]
    installed = {name: package for name, package in packages.items() if name}
    assert [name for name, package in installed.items() if "resolved" in package] == []
    assert [name for name, package in installed.items() if not package.get("integrity", "").startswith("sha512-")] == []


def test_every_dependency_has_one_exact_version() -> None:
    package = json.loads((FOLDER / "package.json").read_text("utf-8"))
    versions = {**package["dependencies"], **package["devDependencies"]}
    assert {name: version for name, version in versions.items() if not version.replace(".", "").isdigit()} == {}
