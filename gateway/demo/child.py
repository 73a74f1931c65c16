"""Program of a child process of the demo: ``python -m gateway.demo.child ROLE SETTINGS``, with JSON settings.

Started by :mod:`gateway.demo.family`, not by users.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Final

from gateway.demo.lifeline import Lifeline
from gateway.errors import FrysError

ROLES: Final = ("gateway", "trainer", "evaluator")
"""Roles. Each is a module of this package, with a function ``run(lifeline, **settings)``."""


def main() -> None:
    """Play a role until the lifeline ends, and report an error in one line."""
    # Before numpy is loaded, whose threads spin while they wait for work: the trainer took 96 % of a processor at 20
    # steps a second with two threads, and takes 6 % with one (2026-11).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    role, settings = sys.argv[1:]
    line = Lifeline(sys.stdin, sys.stdout)
    try:
        if role not in ROLES:
            raise ValueError(f"unknown role {role!r}; known roles are {', '.join(ROLES)}")
        importlib.import_module(f"gateway.demo.{role}").run(line, **json.loads(settings))
    except FrysError as error:
        line.failed(str(error))
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - the process's boundary: the parent shows one line
        line.failed(f"{type(error).__name__}: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
