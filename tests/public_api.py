"""Public API of the SDK as text: names, bases, signatures and fields, read from the running code.

``tests/public_api.txt`` is that text as a reviewer last agreed to it; ``python -m tests.public_api`` writes it anew.
"""

import enum
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Final, ForwardRef

from gateway import client
from gateway.client import sync

MODULES: Final[tuple[ModuleType, ...]] = (client, sync)
GOLDEN: Final = Path(__file__).with_suffix(".txt")

CONSTRUCTED: Final = frozenset({"Backoff", "Credits", "Options", "View"})
"""Classes that a program instantiates itself; the SDK makes the others."""

INTERNAL: Final = {
    "BatchIterator": "",
    "Client": "open",
    "Inbox": "next",
    "Message": "ack_handle copy_from patched_by",
    "Notice": "of",
    "RecordBatch": "ack_handle after copy_from of",
    "ReplyStream": "start",
    "Request": "ack_handle cancel copy_from hold patched_by session",
    "Subscription": "acknowledge_previous as_batch fork next_batch source",
    "View": "apply canonical check check_all from_json misfit select to_json wire_dtype",
}
"""Attributes that other modules of the project use and a program does not, by class."""

STATEMENTS: Final = frozenset(
    ["__aenter__", "__aexit__", "__aiter__", "__anext__", "__await__", "__enter__", "__exit__", "__iter__", "__next__"]
)
"""Special methods by which ``async with``, ``for`` and their like use an object."""


def public_names(owner: type) -> list[str]:
    """Return the public attributes of a class, those that it inherits within this project included."""
    names: set[str] = set()
    for kind in owner.__mro__:
        if kind.__module__.startswith("gateway."):
            names |= vars(kind).keys() | inspect.get_annotations(kind).keys()
    internal = INTERNAL.get(owner.__name__, "").split()
    return sorted(name for name in names if name in STATEMENTS or not (name.startswith("_") or name in internal))


def own_parameters(function: Callable[..., object]) -> list[inspect.Parameter]:
    """Return the parameters that a caller gives; ``self`` is not one."""
    parameters = list(inspect.signature(function).parameters.values())
    return parameters[1:] if parameters and parameters[0].name == "self" else parameters


def result_of(function: Callable[..., object]) -> str:
    """Return the annotated result of a function, as text."""
    return annotation_text(inspect.signature(function).return_annotation)


def annotation_text(annotation: object) -> str:
    """Return an annotation as it stands in the source."""
    match annotation:
        case str():
            return annotation
        case None:
            return "None"
        case ForwardRef():
            return annotation.__forward_arg__
        case type():
            return annotation.__name__
    return str(annotation)


def signature_text(function: Callable[..., object]) -> str:
    """Return parameters with types and defaults, and the result of a function, as text."""
    words = []
    keyword_only = False
    for parameter in own_parameters(function):
        if parameter.kind is parameter.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            words.append("*")
        stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
        text = f"{stars}{parameter.name}: {annotation_text(parameter.annotation)}"
        if parameter.default is not parameter.empty:
            text += f" = {_default_text(parameter.default)}"
        words.append(text)
    return f"({', '.join(words)}) -> {result_of(function)}"


def _default_text(default: object) -> str:
    match default:
        case enum.Enum():
            return f"{type(default).__name__}.{default.name}"
        case FunctionType():
            return f"{default.__module__.partition('.')[0]}.{default.__name__}"
    return repr(default)


def write_api(modules: tuple[ModuleType, ...] = MODULES) -> str:
    """Return the API of some modules as text, one line for each name."""
    return "\n".join(line for module in modules for line in _module_lines(module)) + "\n"


def _module_lines(module: ModuleType) -> Iterator[str]:
    yield f"# {module.__name__}"
    for name in module.__all__:
        value = getattr(module, name)
        if isinstance(value, type):
            yield from _class_lines(value)
        elif callable(value):
            yield f"def {name}{signature_text(value)}"
        else:
            yield f"module {name}"
    yield ""


def _class_lines(owner: type) -> Iterator[str]:
    bases = ", ".join(base.__name__ for base in owner.__bases__ if base is not object)
    yield f"class {owner.__name__}" + (f"({bases})" if bases else "")
    if owner.__name__ in CONSTRUCTED:
        yield f"    {signature_text(owner)}".removesuffix(" -> None")
    annotations = inspect.get_annotations(owner)
    for name in public_names(owner):
        value = inspect.getattr_static(owner, name, None)
        match value:
            case property(fget=get) if get is not None:
                yield f"    {name}: {result_of(get)}"
            case FunctionType():
                word = "async def" if inspect.iscoroutinefunction(value) else "def"
                yield f"    {word} {name}{signature_text(value)}"
            case enum.Enum():
                yield f"    {name} = {value.value!r}"
            case _ if name in annotations:
                yield f"    {name}: {annotation_text(annotations[name])}"
            case _:
                yield f"    {name}"


if __name__ == "__main__":
    GOLDEN.write_text(write_api(), "utf-8")
