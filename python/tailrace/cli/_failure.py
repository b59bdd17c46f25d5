"""What is said when tailrace itself is wrong.

The failure prevented: a bug that looks like the user's mistake, or scrolls by as a traceback that
nobody keeps. The traceback goes to a file, the block names version and file, the code is 70.
"""

from __future__ import annotations

import sys
import tempfile
import traceback
from pathlib import Path

from tailrace.cli import _output
from tailrace.cli._exit import Exit


def internal(error: BaseException, given: list[str]) -> int:
    """Tells an internal error and returns its exit code."""
    text = "".join(traceback.format_exception(error))
    try:
        build = _output.build_line(_output.build_facts())
    except BaseException as broken:  # The plane itself may be what cannot be loaded.
        build = f"python {sys.version.split()[0]}; the plane cannot be loaded: {broken}"
    summary = traceback.format_exception_only(error)[-1].strip().splitlines()[0]
    lines = [
        f"error: internal: {summary}",
        "  This is a mistake in tailrace, not in your service.",
        f"  version    {build}",
        f"  command    tailrace {' '.join(given)}",
        f"  traceback  {_kept(text, build, given)}",
        "  help: report it with that file" + ("" if _output.choices.verbose else "; -v shows it"),
    ]
    if _output.choices.verbose:
        _output.talk(text.rstrip())
    _output.fail("\n".join(lines), Exit.INTERNAL)
    return Exit.INTERNAL


def _kept(text: str, build: str, given: list[str]) -> str:
    """Writes the traceback to a file only this user can read, and returns its name."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="tailrace-error-", suffix=".txt", delete=False
        ) as file:
            file.write(f"{build}\ncommand: tailrace {' '.join(given)}\n\n{text}")
        return str(Path(file.name))
    except OSError as refused:
        return f"could not be kept ({refused.strerror}); run again with -v"
