"""The floors of coverage: packages below theirs are named, and modules that their own tests hardly run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.coverage_report import ModuleCoverage, packages_below, packages_of, write_report
from tests.layout import ROOT


def module(path: str, covered: int, *, lines: int = 150, own_percent: float = 80.0) -> ModuleCoverage:
    """Return the coverage of a module with 100 places."""
    return ModuleCoverage(Path(ROOT / "gateway" / path), lines, places=100, covered=covered, own_percent=own_percent)


@pytest.mark.parametrize(
    ("path", "covered", "is_below"),
    [
        ("protocol/meta.py", 94, True),
        ("protocol/meta.py", 95, False),
        ("cli/pub.py", 89, True),
        ("cli/pub.py", 90, False),
    ],
)
def test_a_package_has_its_floor(path: str, covered: int, is_below: bool) -> None:
    assert bool(packages_below(packages_of([module(path, covered)]))) == is_below


def test_a_package_is_what_all_its_modules_are_together() -> None:
    modules = [module("streams/run.py", 100), module("streams/sqlite/rows.py", 50), module("ids.py", 100)]
    assert packages_of(modules) == {"": 100.0, "streams": 75.0}
    assert packages_below(packages_of(modules)) == ["gateway/streams: 75.0 % of lines and branches, 95 % are required"]


def test_a_large_module_that_its_own_tests_hardly_run_is_listed() -> None:
    thin = module("streams/run.py", 100, own_percent=69.9)
    small = module("streams/page.py", 100, lines=100, own_percent=0.0)
    _, listed = write_report([thin, small, module("ids.py", 100)]).split("from their own test module:")
    assert listed.splitlines()[1].split() == ["gateway/streams/run.py", "150", "69.9"]
    assert listed.splitlines()[2] == ""


OWN_PERCENT = """
import sys
from coverage import Coverage
from tests.coverage_report import IMPORT, read_covered, read_own_percent
from tests.layout import ROOT

path = ROOT / "gateway" / "client" / "report.py"
measurement = Coverage(data_file=sys.argv[1], config_file=False)
_, statements, _, _ = measurement.analysis(str(path))
first, rest = statements[:20], statements[20:]
data = measurement.get_data()
for context, lines in (
    ("", first),
    ("tests/client/test_other.py", statements),
    ("tests/client/test_report.py", [*first, *rest[: len(rest) // 2]]),
):
    data.set_context(context)
    data.add_lines({str(path): lines})
    imported = read_covered(measurement, [path], IMPORT)[path].covered
    print(imported, read_own_percent(measurement, path, imported) * len(rest) / 100)
print(len(rest) // 2)
"""
"""A second measurement in the process of the tests would end the one that ``make coverage`` makes of them."""


def test_lines_that_run_on_import_do_not_count_as_tested(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = [sys.executable, "-c", OWN_PERCENT, str(tmp_path / "coverage")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *rows, half = done.stdout.splitlines()
    assert [row.split()[0] for row in rows] == ["20", "20", "20"]
    assert [round(float(row.split()[1])) for row in rows] == [0, 0, int(half)]
