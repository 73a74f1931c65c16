"""Cross references (``:class:`Name```) in the sources, resolved to the definitions that they name."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from tests.layout import ROOT, SOURCES

REFERENCE: Final = re.compile(r":(?:attr|class|const|data|exc|func|meth|mod):`(?:[^`<]*<)?~?([\w.]+)(?:\(\))?>?`")
ATTRIBUTE: Final = re.compile(r"^ +(\w+): ", re.M)


@dataclass(slots=True)
class ClassNames:
    """Names that a class defines, and names of the classes that it inherits from."""

    first_line: int
    last_line: int
    bases: list[str]
    members: set[str] = field(default_factory=set)


@dataclass(slots=True)
class ModuleNames:
    """Names that a module defines; what it imports is not among them."""

    names: set[str] = field(default_factory=set)
    classes: dict[str, ClassNames] = field(default_factory=dict)
    imported: dict[str, str] = field(default_factory=dict)
    """By local name, the full name of the imported thing."""


def module_name(path: Path) -> str:
    """Return the dotted name of the module of a source file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def all_modules() -> dict[str, ModuleNames]:
    """Return the names that each module of ``gateway`` defines."""
    return {module_name(path): _names_of(ast.parse(path.read_text("utf-8"))) for path in SOURCES}


def _names_of(tree: ast.Module) -> ModuleNames:
    module = ModuleNames()
    for node in tree.body:
        match node:
            case ast.ImportFrom(module=str(source), names=aliases):
                module.imported |= {alias.asname or alias.name: f"{source}.{alias.name}" for alias in aliases}
            case ast.ClassDef(name=name):
                module.names.add(name)
                module.classes[name] = _class_names(node)
            case _:
                module.names |= _assigned(node)
    return module


def _class_names(node: ast.ClassDef) -> ClassNames:
    names = ClassNames(node.lineno, node.end_lineno or node.lineno, [_last_part(base) for base in node.bases])
    for inner in ast.walk(node):
        match inner:
            case ast.Attribute(value=ast.Name(id="self"), attr=attribute, ctx=ast.Store()):
                names.members.add(attribute)
            case ast.Assign(targets=[ast.Name(id="__slots__")], value=value):
                names.members |= set(re.findall(r"\w+", ast.unparse(value)))
    names.members |= set().union(*(_assigned(statement) for statement in node.body))
    names.members |= set(ATTRIBUTE.findall(ast.get_docstring(node, clean=False) or ""))
    return names


def _last_part(base: ast.expr) -> str:
    """Return the class of ``Base``, ``module.Base`` or ``Base[T]``, by its own name."""
    return ast.unparse(base).partition("[")[0].rpartition(".")[2]


def _assigned(statement: ast.stmt) -> set[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
        case ast.Assign(targets=targets):
            return {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return set()


def broken_references(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and target of each reference of a source file that does not name a thing where it is defined."""
    source = path.read_text("utf-8")
    for match in REFERENCE.finditer(source):
        target, line = match[1], source.count("\n", 0, match.start()) + 1
        if not is_defined_at(target, module_name(path), line):
            hint = all_modules()[module_name(path)].imported.get(target.partition(".")[0])
            yield line, target + (f", which is {hint}" if hint else "")


def is_defined_at(target: str, here: str, line: int) -> bool:
    """Return whether a reference in a line of module ``here`` names what its target defines, not what that imports."""
    modules = all_modules()
    if target.startswith("gateway"):
        parts = target.split(".")
        for length in range(len(parts), 0, -1):
            if (module := ".".join(parts[:length])) in modules:
                return _is_in_module(modules[module], parts[length:])
        return False
    enclosing = [names for names in modules[here].classes.values() if names.first_line <= line <= names.last_line]
    if any(_has_member(names, target) for names in enclosing):
        return True
    return _is_in_module(modules[here], target.split("."))


def _is_in_module(module: ModuleNames, rest: list[str]) -> bool:
    match rest:
        case []:
            return True
        case [name]:
            return name in module.names
        case [name, member]:
            return name in module.classes and _has_member(module.classes[name], member)
    return False


def _has_member(names: ClassNames, member: str) -> bool:
    """Return whether a class has a member, of its own or inherited from a class of that name."""
    if member in names.members:
        return True
    bases = [
        module.classes[base] for base in names.bases for module in all_modules().values() if base in module.classes
    ]
    return any(base is not names and _has_member(base, member) for base in bases)
