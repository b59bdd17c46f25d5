"""Finding and importing the user's service.

The failure prevented: "could not import module" with the real cause hidden. An import that fails
shows the user's own frames first, then the whole chain of causes, then what to try.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import linecache
import os
import sys
import textwrap
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from tailrace._source import shown_path
from tailrace.cli import _output as output
from tailrace.cli._exit import Exit, Stop

if TYPE_CHECKING:
    from tailrace import Service

CAUSES_MAX: Final = 10
_CANDIDATES: Final = ("service.py", "app.py", "main.py")
_EXAMPLE: Final = 'declare one: service = Service("shop", deadline="150ms")'
_OURS: Final = Path(__file__).resolve().parents[1]


def find_target(given: str | None) -> str:
    """The target to serve: as given, from TAILRACE_APP, or the one file that looks like it."""
    target = given or os.environ.get("TAILRACE_APP")
    if target:
        return target
    for name in _CANDIDATES:
        if Path(name).is_file():
            return name
    raise Stop(
        Exit.USAGE,
        f"error: no service given, and none of {', '.join(_CANDIDATES)} is here",
        "name it, for example: tailrace serve shop.service:service",
    )


def load_service(target: str) -> Service:
    """Imports ``MODULE:ATTR`` or ``FILE.py[:ATTR]`` and returns its service."""
    from tailrace import Service

    module_part, _, attribute = target.partition(":")
    if not module_part:
        raise Stop(Exit.USAGE, f"error: {target!r} names no module", "write MODULE:ATTR")
    module = _import(module_part)
    if attribute:
        return _attribute(module, module_part, attribute)
    services = {name: value for name, value in vars(module).items() if isinstance(value, Service)}
    if len(set(map(id, services.values()))) == 1:
        return next(iter(services.values()))
    if not services:
        raise Stop(Exit.USAGE, f"error: {module_part} defines no Service", _EXAMPLE)
    raise Stop(
        Exit.USAGE,
        f"error: {module_part} has {len(services)} services: {', '.join(sorted(services))}",
        f"say which: {module_part}:{min(services)}",
    )


def _attribute(module: ModuleType, module_part: str, attribute: str) -> Service:
    from tailrace import Service

    services = [name for name, value in vars(module).items() if isinstance(value, Service)]
    if not hasattr(module, attribute):
        public = [name for name in vars(module) if not name.startswith("_")]
        near = difflib.get_close_matches(attribute, services, n=1, cutoff=0.5)
        near = near or difflib.get_close_matches(attribute, public, n=1)
        meant = (near or services)[:1]
        hint = f"did you mean `{module_part}:{meant[0]}`?" if meant else _EXAMPLE
        raise Stop(Exit.USAGE, f"error: {module_part} has no `{attribute}`", hint)
    value = getattr(module, attribute)
    if not isinstance(value, Service):
        hint = f"did you mean `{module_part}:{services[0]}`?" if services else _EXAMPLE
        kind = type(value).__name__
        raise Stop(
            Exit.USAGE, f"error: {module_part}:{attribute} is no Service; its type is {kind}", hint
        )
    return value


def _import(module_part: str) -> ModuleType:
    is_file = module_part.endswith(".py") or "/" in module_part
    if is_file and not Path(module_part).is_file():
        files = [str(path) for path in Path(module_part).parent.glob("*.py")]
        near = difflib.get_close_matches(module_part, files, n=1)
        hint = f"did you mean `{near[0]}`?" if near else "give the path of a Python file"
        raise Stop(Exit.USAGE, f"error: there is no file {module_part}", hint)
    try:
        return _import_file(Path(module_part)) if is_file else _import_name(module_part)
    except (Exception, SystemExit) as error:
        from tailrace.errors import TailraceError

        if isinstance(error, TailraceError):
            raise
        if output.choices.verbose:
            output.talk("".join(traceback.format_exception(error)).rstrip())
        raise Stop(Exit.USAGE, *_explain(module_part, error)) from error


def _import_name(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    return importlib.import_module(name)


def _import_file(path: Path) -> ModuleType:
    """A file inside a package is imported by its full name, so that relative imports work."""
    path = path.resolve()
    folder, names = path.parent, [path.stem]
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        names.insert(0, folder.name)
        folder = folder.parent
    sys.path.insert(0, str(folder))
    if len(names) > 1:
        return importlib.import_module(".".join(names))
    # By its path: a file called like a module of the standard library is still this file.
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise Stop(Exit.USAGE, f"error: {path} is no Python file", "its name ends with .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _explain(module_part: str, error: BaseException) -> tuple[str, str]:
    """The message with every cause, outermost first, and what to try."""
    lines = [f"error: {module_part} could not be imported"]
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and len(chain) < CAUSES_MAX:
        chain.append(cause)
        hidden = None if cause.__suppress_context__ else cause.__context__
        cause = cause.__cause__ or hidden
    for index, one in enumerate(chain):
        if index:
            lines.append("  caused by")
        lines += _frames(one)
        said = one.msg if isinstance(one, SyntaxError) else str(one)
        lines += _said(f"{type(one).__name__}: {said}" if said else type(one).__name__)
    return "\n".join(lines), _hint(module_part, chain)


def _said(text: str) -> list[str]:
    """An exception's own words; paths below this folder as the frames show them."""
    lines: list[str] = []
    for line in text.replace(f"{Path.cwd()}{os.sep}", "").splitlines():
        lines += textwrap.wrap(
            line,
            output.WIDTH,
            initial_indent="   = " if not lines else "     ",
            subsequent_indent="     ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def _frames(error: BaseException) -> list[str]:
    """The user's own frames, innermost last, each with its line of code."""
    if isinstance(error, SyntaxError) and error.filename:
        text = (error.text or linecache.getline(error.filename, error.lineno or 0)).rstrip("\n")
        offset = max(1, error.offset or 1)
        end = (error.end_offset or 0) if error.end_lineno == error.lineno else 0
        width = max(1, end - offset)
        place = f"{shown_path(error.filename)}:{error.lineno}:{offset}"
        return _frame(place, error.lineno or 0, text, offset - 1, width)
    lines = []
    for frame in traceback.extract_tb(error.__traceback__):
        if _is_ours(frame.filename) or not frame.line:
            continue
        start = frame.colno if frame.end_lineno == frame.lineno else None
        text = linecache.getline(frame.filename, frame.lineno or 0).rstrip("\n")
        width = (frame.end_colno or 0) - (start or 0) if start is not None else 0
        place = f"{shown_path(frame.filename)}:{frame.lineno} in {frame.name}"
        lines += _frame(place, frame.lineno or 0, text, start or 0, width)
    return lines


def _frame(place: str, number: int, text: str, start: int, width: int) -> list[str]:
    """A line of code with carets below; a span that is the whole line needs none."""
    lines = [f"  --> {place}", f"{number:>4} | {text}"]
    if width > 0 and text[start : start + width].strip() != text.strip():
        lines.append(f"     | {' ' * start}{'^' * width}")
    return lines


def _is_ours(filename: str) -> bool:
    """Frames of tailrace, of the import system and of installed packages explain nothing."""
    if filename.startswith("<frozen"):
        return True
    path = Path(filename)
    parts = path.parts
    return path.is_relative_to(_OURS) or "site-packages" in parts or "importlib" in parts


def _hint(module_part: str, chain: list[BaseException]) -> str:
    error = chain[-1]
    if isinstance(error, ModuleNotFoundError) and error.name:
        missing = error.name.partition(".")[0]
        if missing == module_part.partition(".")[0]:
            files = [path.stem for path in Path.cwd().glob("*.py")]
            near = difflib.get_close_matches(missing, files, n=1)
            if near:
                return f"did you mean `{near[0]}`?"
            return f"run it from the folder that holds {missing}.py, or give the file's path"
        return f"install it into this environment: pip install {missing}"
    if isinstance(error, ImportError) and "circular import" in str(error):
        return "two of your modules import each other; move what both need into a third"
    if isinstance(error, SyntaxError):
        return "mend the syntax error above"
    if isinstance(error, SystemExit):
        return 'it must not end the program: put that under if __name__ == "__main__":'
    return ""
