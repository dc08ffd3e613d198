"""Changes the shipped code for a test: text of a module is replaced, and the functions that differ are given new code.

The functions themselves stay who they are, so whoever imported them runs the changed code, until it is undone.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Iterator, Sequence
from types import CodeType, FunctionType, ModuleType

import attrs


@attrs.frozen
class Edit:
    """In `module`, `old`, which must be there exactly once, is replaced with `new`."""

    module: str
    old: str
    new: str


@contextlib.contextmanager
def changed(edits: Sequence[Edit]) -> Iterator[None]:
    """Run a block with these edits in the shipped code."""
    undo: list[tuple[FunctionType, CodeType]] = []
    try:
        for name in dict.fromkeys(edit.module for edit in edits):
            module = importlib.import_module(name)
            source = _edited(module, [edit for edit in edits if edit.module == name])
            undo += _put(module, compile(source, f"<{name}, changed by a test>", "exec", dont_inherit=True))
        yield
    finally:
        for function, code in undo:
            function.__code__ = code


def _edited(module: ModuleType, edits: Sequence[Edit]) -> str:
    source = inspect.getsource(module)
    for edit in edits:
        if source.count(edit.old) != 1:
            raise LookupError(
                f"{module.__name__} has {source.count(edit.old)} times {edit.old!r}: choose the line anew"
            )
        source = source.replace(edit.old, edit.new)
    return source


def _put(module: ModuleType, code: CodeType) -> list[tuple[FunctionType, CodeType]]:
    """Give every function of the module the code of the same name; returns what was there before."""
    fresh = _functions(code)
    undo = []
    for function in _live(module):
        new = fresh.get(function.__qualname__)
        if new is not None and _differs(new, function.__code__):
            undo.append((function, function.__code__))
            function.__code__ = new
    if not undo:
        raise LookupError(f"no function of {module.__name__} changed: the edit is outside of all functions")
    return undo


def _differs(one: CodeType, other: CodeType) -> bool:
    """Whether these do different things; where they stand in a file does not matter."""
    if (one.co_code, one.co_names, len(one.co_consts)) != (other.co_code, other.co_names, len(other.co_consts)):
        return True
    return any(
        _differs(mine, theirs) if isinstance(mine, CodeType) and isinstance(theirs, CodeType) else mine != theirs
        for mine, theirs in zip(one.co_consts, other.co_consts, strict=True)
    )


def _functions(code: CodeType, prefix: str = "") -> dict[str, CodeType]:
    """The functions of a module and its classes by qualified name."""
    found: dict[str, CodeType] = {}
    for const in code.co_consts:
        if isinstance(const, CodeType):
            name = prefix + const.co_name
            found[name] = const
            found.update(_functions(const, f"{name}."))
    return found


def _live(module: ModuleType) -> Iterator[FunctionType]:
    for value in vars(module).values():
        if isinstance(value, FunctionType) and value.__module__ == module.__name__:
            yield value
        elif inspect.isclass(value) and value.__module__ == module.__name__:
            for member in vars(value).values():
                plain = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
                if isinstance(plain, FunctionType) and plain.__module__ == module.__name__:
                    yield plain
