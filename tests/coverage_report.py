"""Coverage of ``gateway``, module by module, held to the floors of its packages.

Run after the tests, ``python -m tests.coverage_report`` reads ``.coverage`` and prints for each module the share of its
lines and branches that all tests run, and beside it the share that its own test module (``tests/x/test_y.py`` for
``gateway/x/y.py``) runs of all that importing the module does not run. It exits with 1 if a package is below its floor.
"""

import json
import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from coverage import Coverage

from tests.layout import MODULES, ROOT, mirror_of, relative

FLOORS: Final = {"protocol": 95.0, "streams": 95.0, "connections": 95.0}
"""Percent of lines and branches that all tests together must run, by package."""

FLOOR: Final = 90.0
"""The same for every other package, and for the modules that stand outside of one."""

OWN_FLOOR: Final = 70.0
"""Percent that a module of more than ``OWN_LINES`` lines should get from its own test module."""

OWN_LINES: Final = 100

IMPORT: Final = "^$"
"""Context of lines that run while pytest collects, which are imports: every ``def`` and ``class`` line among them."""


class Covered(NamedTuple):
    """Places (lines and branches) of a module, and those that ran in some contexts."""

    places: int
    covered: int


@dataclass(frozen=True, slots=True)
class ModuleCoverage:
    """Coverage of one module: places (lines and branches) in it, and those that tests ran."""

    path: Path
    lines: int
    """Lines of the file, comments and blank ones included."""
    places: int
    covered: int
    own_percent: float
    """Percent of places that its own test module ran, of those that importing it does not run."""

    @property
    def percent(self) -> float:
        """Percent of places that all tests together ran."""
        return percent_of(self.covered, self.places)

    @property
    def package(self) -> str:
        """Name of the package directly under ``gateway``; empty for a module that stands in none."""
        folders = self.path.relative_to(ROOT / "gateway").parts[:-1]
        return folders[0] if folders else ""

    @property
    def is_thin(self) -> bool:
        """Whether a module of some size gets too little from its own test module."""
        return self.lines > OWN_LINES and self.own_percent < OWN_FLOOR


def percent_of(covered: int, places: int) -> float:
    """Return a share in percent; a module in which nothing can run is covered."""
    return 100.0 * covered / places if places else 100.0


def read_modules(measurement: Coverage) -> list[ModuleCoverage]:
    """Return the coverage of every module of ``gateway``, in the order of their paths."""
    covered_by_all, imported = read_covered(measurement, MODULES), read_covered(measurement, MODULES, IMPORT)
    return [
        ModuleCoverage(
            path=path,
            lines=len(path.read_text("utf-8").splitlines()),
            places=covered_by_all[path].places,
            covered=covered_by_all[path].covered,
            own_percent=read_own_percent(measurement, path, imported[path].covered),
        )
        for path in MODULES
    ]


def read_covered(measurement: Coverage, paths: Sequence[Path], context: str | None = None) -> dict[Path, Covered]:
    """Return the places of modules, and those that ran in the contexts that a regular expression matches."""
    contexts = None if context is None else [context]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        measurement.json_report(morfs=[str(path) for path in paths], outfile=str(report), contexts=contexts)
        files = json.loads(report.read_text("utf-8"))["files"]
    summaries = {path: files[relative(path)]["summary"] for path in paths}
    return {
        path: Covered(
            summary["num_statements"] + summary.get("num_branches", 0),
            summary["covered_lines"] + summary.get("covered_branches", 0),
        )
        for path, summary in summaries.items()
    }


def read_own_percent(measurement: Coverage, path: Path, imported: int) -> float:
    """Return the percent of a module that its own test module runs, of the places that importing it does not run.

    Args:
        measurement: contexts are test modules.
        path: the module.
        imported: places of the module that run when it is imported.
    """
    own = f"^({re.escape(relative(mirror_of(path)))})?$"
    found = read_covered(measurement, [path], own)[path]
    return percent_of(found.covered - imported, found.places - imported)


def packages_of(modules: Iterable[ModuleCoverage]) -> dict[str, float]:
    """Return the percent that all tests ran of each package."""
    packages: dict[str, tuple[int, int]] = {}
    for module in modules:
        covered, places = packages.get(module.package, (0, 0))
        packages[module.package] = (covered + module.covered, places + module.places)
    return {package: percent_of(*sums) for package, sums in sorted(packages.items())}


def packages_below(packages: dict[str, float]) -> list[str]:
    """Return one line for each package that is below its floor."""
    return [
        f"gateway/{package}: {percent:.1f} % of lines and branches, {floor:.0f} % are required"
        for package, percent in packages.items()
        if percent < (floor := FLOORS.get(package, FLOOR))
    ]


def write_report(modules: list[ModuleCoverage]) -> str:
    """Return the report as text: modules, then modules with thin test modules, then packages."""
    width = max(len(relative(module.path)) for module in modules)
    rows = [f"{'module':{width}}  lines    all    own"]
    rows += [
        f"{relative(module.path):{width}}  {module.lines:5}  {module.percent:5.1f}  {module.own_percent:5.1f}"
        for module in modules
    ]
    if thin := [module for module in modules if module.is_thin]:
        rows += ["", f"More than {OWN_LINES} lines, less than {OWN_FLOOR:.0f} % from their own test module:"]
        rows += [f"{relative(module.path):{width}}  {module.lines:5}  {module.own_percent:12.1f}" for module in thin]
    rows += ["", "Packages, percent of lines and branches:"]
    rows += [f"gateway/{package:{width - 8}}  {percent:12.1f}" for package, percent in packages_of(modules).items()]
    return "\n".join(rows)


def main() -> int:
    """Print the report; return 1 if a package is below its floor."""
    measurement = Coverage(config_file=str(ROOT / "pyproject.toml"))
    measurement.load()
    modules = read_modules(measurement)
    print(write_report(modules))
    below = packages_below(packages_of(modules))
    print("\n".join(["", *below] if below else ["", "Every package reaches its floor."]))
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
