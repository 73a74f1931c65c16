"""Node: the decoders of the JavaScript client in a process of their own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.processes import VerificationFailed

HERE: Final = Path(__file__).parent
CLIENT: Final = HERE.parents[1] / "clients" / "js"
"""The JavaScript client."""


class Node:
    """Program in Node that decodes.

    Args:
        process: the program.
        directory: for files that it reads.
    """

    def __init__(self, process: subprocess.Popen[str], directory: Path) -> None:
        self._process = process
        self._directory = directory

    def decode(self, encoded: bytes, decoded: bytes, steps: Sequence[Sequence[int]], bits: int) -> tuple[float, float]:
        """Return the time of decoding, and that of a bit shuffle behind it.

        Args:
            encoded: what is decoded.
            decoded: what comes out.
            steps: ids and parameters of the chain; empty: it is plain.
            bits: bytes of an element, if bits are shuffled before the chain; 0: they are not.

        Raises:
            VerificationFailed: something else came out.
        """
        files = {"encoded": encoded, "decoded": decoded}
        for name, data in files.items():
            (self._directory / name).write_bytes(data)
        request = {name: str(self._directory / name) for name in files} | {"steps": steps, "bits": bits}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(request), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise VerificationFailed("Node has not decoded an image to what it was")
        times = json.loads(line)
        return times["decode_s"], times["unshuffle_s"]


@contextmanager
def started_node() -> Iterator[Node]:
    """Start the program, with the decoders of the JavaScript client, and end it with the block."""
    with TemporaryDirectory(prefix="frys-bits-") as name:
        directory = Path(name)
        bundle = [
            "node_modules/.bin/rolldown",
            "src/protocol/encoding.ts",
            "--platform",
            "node",
            "--logLevel",
            "silent",
        ]
        subprocess.run([*bundle, "--dir", str(directory)], cwd=CLIENT, check=True, stdout=subprocess.DEVNULL)
        (directory / "package.json").write_text('{"type": "module"}')
        command = ["node", str(HERE / "decoding.mjs"), str(directory / "encoding.js")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            yield Node(process, directory)
