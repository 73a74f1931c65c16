"""Forking: a child shares sockets, and whatever wakes its event loop, with its parent, and has to leave them to it.

A fork copies the memory of a process, but not its sockets: what the parent's transports hold would be sent twice. Nor
does it copy the ``epoll`` of the loop: a child that ends in good order, as by ``sys.exit``, would remove from it what
the parent waits for.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import re
import select
import selectors
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Final

REGISTERED: Final = re.compile(r"^tfd: *(\d+)", re.MULTILINE)
"""Line of Linux about a descriptor in an ``epoll``."""


def cut_off(descriptor: int) -> None:
    """Replace a socket, in this process alone, by one whose other side has closed."""
    dead, other = socket.socketpair()
    other.close()
    _replace(descriptor, dead)


def detach(loop: asyncio.AbstractEventLoop) -> None:
    """Let a loop of the parent, which belongs to the thread that has forked, wait at what is this child's own.

    Args:
        loop: a loop of asyncio or uvloop. Others are left as they are, and so is one of a uvloop that does not show the
            functions of its libuv.
    """
    if loop.is_closed():
        return
    uvloop = sys.modules.get("uvloop.loop")
    if uvloop is not None and isinstance(loop, uvloop.Loop):
        _detach_libuv(loop, uvloop)
    elif isinstance(getattr(loop, "_selector", None), getattr(selectors, "EpollSelector", ())):
        _detach_selector(loop)


def _detach_selector(loop: Any) -> None:
    """Do for a loop of asyncio, which has no function for it, what libuv does."""
    # A thread of the parent wakes its loop by a byte: were it read here, the parent would sleep on.
    for end, own in zip((loop._ssock, loop._csock), socket.socketpair(), strict=True):
        own.setblocking(False)
        _replace(end.fileno(), own)
    shared, loop._selector = loop._selector, selectors.EpollSelector()
    for key in shared.get_map().values():
        with contextlib.suppress(OSError):  # closed, and the loop has not been told
            loop._selector.register(key.fileobj, key.events, key.data)
    shared.close()


def _detach_libuv(loop: asyncio.AbstractEventLoop, uvloop: ModuleType) -> None:
    """Call ``uv_loop_fork``, without which even the parent may be aborted (uvloop 0.23, 2026-11)."""
    get_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
    try:
        libuv = ctypes.PyDLL(uvloop.__file__)
        fork, backend = libuv.uv_loop_fork, libuv.uv_backend_fd
    except (AttributeError, OSError):
        return
    capsule = uvloop.libuv_get_loop_t_ptr(loop)
    pointer = ctypes.c_void_p(get_pointer(("PyCapsule_GetPointer", ctypes.pythonapi))(capsule, None))
    known = _descriptors_in(backend(pointer))
    fork(pointer)
    if not known:  # the loop has no epoll, as on macOS
        return
    # It does not register those anew whose events are about to change, and aborts the process for one that is missing.
    with select.epoll.fromfd(os.dup(backend(pointer))) as own:
        for descriptor in known:
            with contextlib.suppress(OSError):
                own.register(descriptor, 0)


def _descriptors_in(epoll: int) -> list[int]:
    """Return the descriptors that are registered in an ``epoll``; none if the system does not tell."""
    try:
        return [int(number) for number in REGISTERED.findall(Path(f"/proc/self/fdinfo/{epoll}").read_text())]
    except OSError:
        return []


def _replace(descriptor: int, by: socket.socket) -> None:
    os.dup2(by.fileno(), descriptor, inheritable=False)
    by.close()
