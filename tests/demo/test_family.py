"""Processes of the demo are heard, and none is left behind."""

import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from gateway.client import connect
from gateway.demo.family import ChildFailed, Family
from gateway.errors import ConnectionFailed

ORPHAN = """
import sys
from gateway.demo.family import Family
place = Family().start("gateway", port=0, admin_port=None).hear()
print(place["url"], flush=True)
sys.stdin.read()
"""
"""Starts a child, and is killed."""


async def reachable(url: str) -> bool:
    try:
        async with connect(url):
            return True
    except ConnectionFailed:
        return False


async def test_a_child_lives_as_long_as_the_family() -> None:
    with Family() as family:
        url = family.start("gateway", port=0, admin_port=None).hear()["url"]
        assert await reachable(url)
    assert not await reachable(url)


def test_a_failure_is_heard() -> None:
    with Family() as family:
        child = family.start("gateway", bogus=1)
        with pytest.raises(ChildFailed, match=r"^gateway: TypeError: .* 'bogus'"):
            child.hear()
        with pytest.raises(ChildFailed, match=r"^gateway: the process has ended unexpectedly"):
            child.hear()


def test_a_child_ends_with_its_parent() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ORPHAN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stderr is not None
        assert urlsplit(parent.stdout.readline()).port
        parent.kill()
        # The child has the same stderr: it ends when both have.
        assert parent.stderr.read() == ""
