"""Adds to ``spec/vectors`` what it lacks of ``good_vectors.py`` and ``bad_vectors.py``; never changes what it has.

Run it from the root of the repository: ``python -m tests.conformance.add_vectors``. It refuses to go on when a vector
that is there has been changed or taken away, and when our own code does not read back what a definition says.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

from gateway.errors import Code, PeerError
from tests.conformance.bad_vectors import BAD
from tests.conformance.good_vectors import GOOD
from tests.conformance.vector_parts import Definition
from tests.conformance.vectors import FOLDER, SUMS, Description, describe


def sums_of(folder: Path) -> dict[str, str]:
    """SHA-256 of every vector file in a folder, by file name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.suffix in {".bin", ".json"}
    }


def recorded_sums(sums: Path) -> dict[str, str]:
    """What a file written by ``sha256sum`` says, by file name; empty if there is none."""
    lines = sums.read_text("ascii").splitlines() if sums.exists() else []
    return {name: digest for digest, name in (line.split(maxsplit=1) for line in lines)}


def text_of(about: Description) -> str:
    """The JSON file: one line for each frame, so that a diff shows which one changed."""
    entries = []
    for key, value in about.items():
        if key == "frames":
            frames = ",\n".join(f"    {json.dumps(frame, ensure_ascii=False)}" for frame in value)
            entries.append(f'  "frames": [\n{frames}\n  ]')
        else:
            entries.append(f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}")
    return "{\n" + ",\n".join(entries) + "\n}\n"


def about_of(definition: Definition) -> Description:
    """The description of a definition: what our code reads from its bytes, or the error that it answers with.

    Raises:
        ValueError: our code reads them in another way than the definition says.
    """
    about: Description = {"section": definition.section, "about": definition.about}
    if definition.base is not None:
        about["base"] = definition.base.hex()
    try:
        frames = describe(definition.message, base=definition.base)
    except PeerError as error:
        if definition.error is None or error.code != definition.error:
            raise ValueError(f"{definition.name}: refused with {error}") from error
        return about | {"error": Code(error.code).name}
    if definition.error is not None:
        raise ValueError(f"{definition.name}: not refused")
    return about | {"frames": frames}


def add_vectors(folder: Path, sums: Path) -> list[str]:
    """Writes what is missing; returns the names of what it wrote.

    Raises:
        ValueError: a vector that is recorded has changed or is gone, or a definition cannot be read.
    """
    recorded = recorded_sums(sums)
    there = sums_of(folder)
    changed = [name for name, digest in recorded.items() if there.get(name) != digest]
    if changed:
        raise ValueError(f"changed or gone, bring them back first: {', '.join(changed)}")
    added = []
    for definition in (*GOOD, *BAD):
        if f"{definition.name}.bin" not in recorded:
            about = text_of(about_of(definition))
            (folder / f"{definition.name}.bin").write_bytes(definition.message)
            (folder / f"{definition.name}.json").write_text(about, "utf-8")
            added.append(definition.name)
    sums.write_text("".join(f"{digest}  {name}\n" for name, digest in sums_of(folder).items()), "ascii")
    return added


if __name__ == "__main__":
    try:
        names = add_vectors(FOLDER, SUMS)
    except ValueError as error:
        sys.exit(str(error))
    sys.stdout.write("".join(f"added {name}\n" for name in names) or "nothing to add\n")
