"""The floors of coverage: packages below theirs are named, and modules that their own tests hardly run."""

from pathlib import Path

import pytest
from coverage import Coverage

from tests.coverage_report import (
    IMPORT,
    ModuleCoverage,
    packages_below,
    packages_of,
    read_covered,
    read_own_percent,
    write_report,
)
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


def test_lines_that_run_on_import_do_not_count_as_tested(tmp_path: Path) -> None:
    path = ROOT / "gateway" / "client" / "report.py"
    measurement = Coverage(data_file=tmp_path / "coverage", config_file=False)
    _, statements, _, _ = measurement.analysis(str(path))
    data = measurement.get_data()
    data.set_context("")
    data.add_lines({str(path): statements[:20]})
    imported = read_covered(measurement, [path], IMPORT)[path].covered
    assert imported == 20
    assert read_own_percent(measurement, path, imported) == 0.0
    data.set_context("tests/client/test_other.py")
    data.add_lines({str(path): statements})
    assert read_own_percent(measurement, path, imported) == 0.0
    data.set_context("tests/client/test_report.py")
    rest = statements[20:]
    data.add_lines({str(path): [*statements[:20], *rest[: len(rest) // 2]]})
    assert read_own_percent(measurement, path, imported) == 100 * (len(rest) // 2) / len(rest)
