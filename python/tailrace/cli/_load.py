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
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tailrace.cli._exit import Exit, Stop

if TYPE_CHECKING:
    from tailrace import Service

_CANDIDATES = ("service.py", "app.py", "main.py")


def find_target(given: str | None) -> str:
    """The target to serve: as given, from TAILRACE_APP, or the one file that looks like it."""
    target = given or os.environ.get("TAILRACE_APP")
    if target:
        return target
    for name in _CANDIDATES:
        if Path(name).is_file():
            return name
    listed = ", ".join(_CANDIDATES)
    raise Stop(
        Exit.USAGE,
        f"error: no service given and none of {listed} is here\n"
        "help: tailrace serve MODULE:ATTRIBUTE, for example  tailrace serve service:service",
    )


def load_service(target: str) -> Service:
    """Imports ``MODULE:ATTR`` or ``FILE.py[:ATTR]`` and returns its service."""
    from tailrace import Service

    module_part, _, attribute = target.partition(":")
    if not module_part:
        raise Stop(Exit.USAGE, f"error: {target!r} names no module\nhelp: write MODULE:ATTRIBUTE")
    module = _import(module_part)
    if attribute:
        return _attribute(module, module_part, attribute)
    services = {name: value for name, value in vars(module).items() if isinstance(value, Service)}
    if len(set(map(id, services.values()))) == 1:
        return next(iter(services.values()))
    found = ", ".join(sorted(services)) or "none"
    raise Stop(
        Exit.USAGE,
        f"error: {module_part} has {len(services)} services ({found})\n"
        f"help: say which: {module_part}:NAME",
    )


def _attribute(module: ModuleType, module_part: str, attribute: str) -> Service:
    from tailrace import Service

    if not hasattr(module, attribute):
        near = difflib.get_close_matches(attribute, vars(module), n=1)
        services = [name for name, value in vars(module).items() if isinstance(value, Service)]
        meant = (near or services)[:1]
        hint = f"did you mean {module_part}:{meant[0]}?" if meant else "it defines no service"
        raise Stop(
            Exit.USAGE, f"error: {module_part} has no attribute {attribute!r}\nhelp: {hint}"
        )
    value = getattr(module, attribute)
    if not isinstance(value, Service):
        raise Stop(
            Exit.USAGE,
            f"error: {module_part}:{attribute} is a {type(value).__name__}, not a Service\n"
            'help: service = Service("name", deadline="150ms")',
        )
    return value


def _import(module_part: str) -> ModuleType:
    is_file = module_part.endswith(".py") or "/" in module_part
    if is_file and not Path(module_part).is_file():
        raise Stop(Exit.USAGE, f"error: there is no file {module_part}")
    before = set(sys.modules)
    here = str(Path(module_part).resolve().parent) if is_file else str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        if not is_file:
            return importlib.import_module(module_part)
        return importlib.import_module(Path(module_part).stem)
    except Exception as error:
        from tailrace.errors import TailraceError

        if isinstance(error, TailraceError):
            raise
        for name in set(sys.modules) - before:
            sys.modules.pop(name, None)
        raise Stop(Exit.USAGE, _explain(module_part, error)) from error


def _explain(module_part: str, error: BaseException) -> str:
    lines = [f"error: {module_part} could not be imported"]
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and len(chain) < 10:
        chain.append(cause)
        hidden = None if cause.__suppress_context__ else cause.__context__
        cause = cause.__cause__ or hidden
    for index, one in enumerate(chain):
        if index:
            lines.append("caused by:")
        lines += _frames(one)
        lines.append(f"  {type(one).__name__}: {one}")
    hint = _hint(module_part, chain[-1])
    if hint:
        lines.append(f"help: {hint}")
    return "\n".join(lines)


def _frames(error: BaseException) -> list[str]:
    """The user's own frames, innermost last, each with its line of code."""
    if isinstance(error, SyntaxError) and error.filename:
        mark = " " * max(0, (error.offset or 1) - 1) + "^"
        text = (error.text or linecache.getline(error.filename, error.lineno or 0)).rstrip("\n")
        place = f"{_shown(error.filename)}:{error.lineno}:{error.offset}"
        return [f"  --> {place}", f"   | {text}", f"   | {mark}"]
    lines = []
    for frame in traceback.extract_tb(error.__traceback__):
        name = frame.filename
        ours = f"{os.sep}tailrace{os.sep}" in name or name.startswith("<frozen")
        if ours or f"{os.sep}importlib{os.sep}" in name or "site-packages" in name:
            continue
        lines += [f"  --> {_shown(name)}:{frame.lineno} in {frame.name}", f"   | {frame.line}"]
    return lines


def _shown(name: str) -> str:
    path = Path(name)
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else name


def _hint(module_part: str, error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        missing = error.name.partition(".")[0]
        if missing == module_part.partition(".")[0]:
            files = [path.stem for path in Path.cwd().glob("*.py")]
            near = difflib.get_close_matches(missing, files, n=1)
            if near:
                return f"did you mean {near[0]}?"
            return f"run it from the folder that holds {missing}.py, or give the file's path"
        return f"install it into this environment: pip install {missing}"
    if isinstance(error, SyntaxError):
        return "mend the syntax error above"
    return ""
