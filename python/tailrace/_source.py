"""Where in the user's code a declaration stands, so that an error can point at it.

The failure prevented: a message that names a mistake but not its line. A declaration remembers the
exact span of the call that made it (the interpreter keeps columns); the file is parsed only when
an error is about to be shown, to narrow the span to one argument, target or annotation. Where the
source cannot be read (an interactive session, `exec`), the line number alone remains.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from types import FrameType
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import ast

Span: TypeAlias = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Place:
    """A span; `line` 0 means there is no text to show. Columns count UTF-8 bytes from 0."""

    file: str
    line: int = 0
    column: int = 0
    end_line: int = 0
    end_column: int = 0

    def __str__(self) -> str:
        return f"{shown_path(self.file)}:{self.line}" if self.line else self.file


def caller(depth: int = 1) -> Place:
    """The call being made `depth` frames above the function that asks."""
    return frame_place(sys._getframe(depth + 1))


def frame_place(frame: FrameType) -> Place:
    positions = next(islice(frame.f_code.co_positions(), frame.f_lasti // 2, None), (None,) * 4)
    line, end_line, column, end_column = positions
    line = line or frame.f_lineno
    return Place(frame.f_code.co_filename, line, column or 0, end_line or line, end_column or 0)


def shown_path(file: str) -> str:
    """`file` relative to the working directory when it lies below it."""
    from pathlib import Path

    path = Path(file)
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (OSError, ValueError):
        return file


def line_text(place: Place) -> str:
    import linecache

    return linecache.getline(place.file, place.line).rstrip("\r\n") if place.line else ""


def argument(place: Place, name: str, position: int | None = None) -> Place:
    """The argument `name` (or the one at `position`) of the call at `place`."""
    call = _index(place.file).calls.get(_key(place))
    if call is None:
        return place
    for keyword in call.keywords:
        if keyword.arg == name:
            return _span(place, keyword)
    if position is not None and position < len(call.args):
        return _span(place, call.args[position])
    return place


def inner_argument(place: Place, name: str, inner: str) -> Place:
    """The argument `inner` of the call that is the argument `name` of the call at `place`."""
    import ast

    outer = _index(place.file).calls.get(_key(place))
    for keyword in outer.keywords if outer is not None else ():
        if keyword.arg == name and isinstance(keyword.value, ast.Call):
            for one in keyword.value.keywords:
                if one.arg == inner:
                    return _span(place, one)
    return argument(place, name)


def nested(place: Place, *names: str) -> Place:
    """As `inner_argument`, for calls in calls; the innermost argument that is written there."""
    import ast

    found = place
    node: ast.AST | None = _index(place.file).calls.get(_key(place))
    for name in names:
        if not isinstance(node, ast.Call):
            break
        keyword = next((one for one in node.keywords if one.arg == name), None)
        if keyword is None:
            break
        found, node = _span(place, keyword), keyword.value
    return found


def entry(place: Place, name: str, key: str) -> Place:
    """The value of `key` in the dict display given as the argument `name`."""
    import ast

    call = _index(place.file).calls.get(_key(place))
    if call is not None:
        for keyword in call.keywords:
            if keyword.arg == name and isinstance(keyword.value, ast.Dict):
                for node, value in zip(keyword.value.keys, keyword.value.values, strict=True):
                    if isinstance(node, ast.Constant) and node.value == key:
                        return _span(place, value)
    return argument(place, name)


def target(place: Place) -> Place:
    """The name that the call at `place` is assigned to."""
    import ast

    node = _index(place.file).assignments.get(_key(place))
    if isinstance(node, ast.AnnAssign):
        return _span(place, node.target)
    return _span(place, node.targets[0]) if isinstance(node, ast.Assign) else place


def annotation(place: Place) -> Place:
    """The annotation of the name that the call at `place` is assigned to."""
    import ast

    node = _index(place.file).assignments.get(_key(place))
    return _span(place, node.annotation) if isinstance(node, ast.AnnAssign) else target(place)


def inside(place: Place, text: str, start: int, end: int) -> Place:
    """Characters `start` to `end` of the string literal at `place`, when it is written plainly."""
    line = line_text(place).encode()
    if place.end_line != place.line:
        return place
    segment = line[place.column : place.end_column].decode(errors="replace")
    at = segment.find(text)
    if not text or at < 0:
        return place
    before = len(segment[: at + start].encode())
    width = len(text[start:end].encode())
    first = place.column + before
    return replace(place, column=first, end_column=first + width)


def class_place(near: Place, name: str) -> Place:
    """The name in the `class` statement that carries the decorator at `near`."""
    for node in _index(near.file).classes:
        if node.name == name:
            first = min([node.lineno, *(item.lineno for item in node.decorator_list)])
            if first <= near.line <= (node.end_lineno or node.lineno):
                column = node.col_offset + len("class ")
                width = len(name.encode())
                return Place(near.file, node.lineno, column, node.lineno, column + width)
    return near


def field_of(cls: type, name: str) -> Place | None:
    """The line of a model's class body that declares the field `name` (or the class itself)."""
    import ast
    import inspect

    try:
        file = inspect.getsourcefile(cls)
    except TypeError:
        return None
    wanted = cls.__name__.partition("[")[0]  # A generic model is written without its arguments.
    found: Place | None = None
    for node in _index(file).classes if file else ():
        if node.name == wanted and file:
            for item in node.body:
                if isinstance(item, ast.AnnAssign) and getattr(item.target, "id", "") == name:
                    return _span(Place(file), item)
            column = node.col_offset + len("class ")
            end = column + len(wanted.encode())
            found = found or Place(file, node.lineno, column, node.lineno, end)
    return found


def member_of(near: Place, cls_name: str, name: str) -> Place:
    """The statement in a view's class body that mentions the attribute `name`."""
    import ast

    for node in _index(near.file).classes:
        if node.name == cls_name:
            for item in node.body:
                names: list[ast.expr] = [item.target] if isinstance(item, ast.AnnAssign) else []
                names += list(item.targets) if isinstance(item, ast.Assign) else []
                for one in names:
                    if getattr(one, "id", "") == name:
                        return _span(near, one)
                if getattr(item, "name", "") == name:
                    return _span(near, item)
    return near


@dataclass(frozen=True, slots=True)
class _Index:
    """One file's calls by their span, assignments by the span of their value, and classes."""

    calls: dict[Span, ast.Call]
    assignments: dict[Span, ast.Assign | ast.AnnAssign]
    classes: list[ast.ClassDef]


@lru_cache(maxsize=64)
def _read(file: str, text: str) -> _Index:
    import ast

    index = _Index({}, {}, [])
    try:
        tree = ast.parse(text, file)
    except (SyntaxError, ValueError):
        return index
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            index.calls[_extent(node)] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            index.assignments[_extent(node.value)] = node
        elif isinstance(node, ast.ClassDef):
            index.classes.append(node)
    return index


def _index(file: str) -> _Index:
    import linecache

    return _read(file, "".join(linecache.getlines(file)))


def _extent(node: ast.AST) -> Span:
    line = getattr(node, "lineno", 0)
    column = getattr(node, "col_offset", 0)
    end_line = getattr(node, "end_lineno", line)
    return line, column, end_line, getattr(node, "end_col_offset", column)


def _span(place: Place, node: ast.AST) -> Place:
    return Place(place.file, *_extent(node))


def _key(place: Place) -> Span:
    return place.line, place.column, place.end_line, place.end_column
