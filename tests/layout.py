"""Layout of the repository: source files of ``gateway`` and the test module that stands for each."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
SOURCES: Final = sorted((ROOT / "gateway").rglob("*.py"))
PACKAGES: Final = [path for path in SOURCES if path.name == "__init__.py"]
MODULES: Final = [path for path in SOURCES if path.name != "__init__.py"]


def relative(path: Path) -> str:
    """Return the path as the repository knows it; names the parameters of tests."""
    return path.relative_to(ROOT).as_posix()


def mirror_of(path: Path) -> Path:
    """Return the path of the test module of a module of ``gateway``."""
    inner = path.relative_to(ROOT / "gateway")
    return ROOT / "tests" / inner.with_name(f"test_{inner.stem.strip('_')}.py")
