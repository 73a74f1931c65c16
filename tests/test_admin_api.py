"""The page of the admin port by curl: each line works, and each path of the document has one."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path
from typing import Final

import httpx
import numpy as np

from gateway.admin.document.openapi import DOCUMENT
from gateway.client import connect
from gateway.config import Settings
from gateway.connections.core_settings import CoreSettings
from gateway.ids import StreamName
from gateway.protocol.messages import Kind
from gateway.protocol.names import compile_pattern, dead_letters_of
from gateway.streams.rules import StreamConfig, StreamRules
from gateway.testing import running_gateway
from tests.integration.peer import subscriber_of, until
from tests.layout import ROOT

PAGE: Final = (ROOT / "docs" / "admin-api.md").read_text("utf-8")
ADMIN_URL: Final = "http://127.0.0.1:8766"
PEER: Final = "/connections/7/"
TASKS: Final = "wf-42/tasks"

LEFT_OUT: Final = {"/", "/ws", "/assets/{name}", "/client/{name}"}
"""Paths that are for browsers."""


def curl_of(words: list[str]) -> argparse.Namespace:
    """The options of a line, as curl takes them."""
    parser = argparse.ArgumentParser(allow_abbrev=False, exit_on_error=False)
    for option in ("-X", "-H", "-d", "-T", "-o"):
        parser.add_argument(option, dest=option[1])
    parser.add_argument("url")
    options = parser.parse_args(words)
    options.X = options.X or ("PUT" if options.T else "GET")
    return options


def lines() -> list[argparse.Namespace]:
    found = []
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S):
        for line in block.splitlines():
            name, *words = shlex.split(line, comments=True)
            assert name == "curl"
            found.append(curl_of(words))
    return found


def test_each_path_has_a_line() -> None:
    shown = {(line.X.lower(), httpx.URL(line.url).path) for line in lines()}
    for path, node in DOCUMENT["paths"].items():
        pattern = re.compile(re.sub(r"{\w+}", "[^?]+", path))
        for method in () if path in LEFT_OUT else node.keys() - {"parameters"}:
            assert any(shown_method == method and pattern.fullmatch(url) for shown_method, url in shown), (method, path)


async def test_each_line_works(tmp_path: Path) -> None:
    np.save(tmp_path / "weights.npy", np.ones((3, 4), np.float32))
    rules = StreamRules([(compile_pattern(TASKS), StreamConfig(kind=Kind.COLLABORATION, max_tries=1))])
    settings = Settings(admin_port=0, core=CoreSettings(rules=rules))
    async with (
        running_gateway(settings) as gateway,
        httpx.AsyncClient(timeout=60) as http,
        connect(gateway.url, client_id="worker", on_notice=lambda notice: None) as worker,
        worker.subscribe(TASKS, auto_ack=False) as tasks,
    ):
        gateway.core.on_drain = lambda asker: 5.0
        await worker.publish(TASKS, np.zeros(3))
        await (await anext(tasks)).nack()
        await until(lambda: gateway.core.streams.get(dead_letters_of(StreamName(TASKS))) is not None)
        for line in lines():
            assert line.url.startswith(ADMIN_URL)
            async with subscriber_of(gateway.url, "other/*") as peer:
                headers = dict([line.H.split(": ")]) if line.H else {}
                content = (tmp_path / line.T).read_bytes() if line.T else line.d
                url = line.url.replace(ADMIN_URL, gateway.admin_url).replace(PEER, f"/connections/{peer.peer}/")
                answer = await http.request(line.X, url, headers=headers, content=content)
            assert answer.status_code in (200, 202), (line, answer.text)
            if line.o:
                assert answer.content == (tmp_path / "weights.npy").read_bytes()
