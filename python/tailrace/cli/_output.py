"""Where output goes, whether it has colour, and the options that every verb has.

The failure prevented: escape bytes in a log file, and talk mixed into data. stdout is data, stderr
is talk. Colour only on a terminal, never with NO_COLOR, always with FORCE_COLOR or
``--color always``. Without a terminal no escape byte is ever written.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import Any, Final, TextIO

from tailrace.cli._exit import Exit, Stop, did_you_mean

FORMAT_VERSION: Final = 1
WIDTH: Final = 80
COLORS: Final = ("auto", "always", "never")
COMMON_HELP: Final = (
    "  --json             results as JSON, with format_version   [TAILRACE_JSON=1]\n"
    "  --color WHEN       auto, always or never                  [TAILRACE_COLOR]\n"
    "  -v, --verbose      show the traceback of an error\n"
    "  -h, --help         help of the verb"
)
# Variables that belong to command lines, not to a service. A service refuses unknown TAILRACE_*
# variables, and one set for another verb is not a mistake in it.
VARIABLES: Final = (
    "TAILRACE_ADMIN",
    "TAILRACE_APP",
    "TAILRACE_COLOR",
    "TAILRACE_CONFIG",
    "TAILRACE_DEMO_ADMIN_PORT",
    "TAILRACE_DEMO_LAB_ADMIN_PORT",
    "TAILRACE_DEMO_LAB_PORT",
    "TAILRACE_DEMO_NAIVE_PORT",
    "TAILRACE_DEMO_PORT",
    "TAILRACE_DEMO_RATE",
    "TAILRACE_DEMO_SECONDS",
    "TAILRACE_DOCTOR_COLLECTOR",
    "TAILRACE_JSON",
    "TAILRACE_LAB_ADMIN",
    "TAILRACE_LAB_BOARD",
    "TAILRACE_OPENAPI_SERVER",
    "TAILRACE_PROTECTIONS",
    "TAILRACE_TOP_INTERVAL",
    "TAILRACE_TOP_VIEW",
    "TAILRACE_WATCH",
)


@dataclass(slots=True)
class Choices:
    """What the options of every verb say."""

    color: str = "auto"
    json: bool = False
    verbose: bool = False


choices = Choices()


def take_common_options(given: list[str]) -> list[str]:
    """Reads the options of every verb, wherever they stand, and returns the rest."""
    choices.color = os.environ.get("TAILRACE_COLOR") or "auto"
    choices.json = os.environ.get("TAILRACE_JSON", "") not in ("", "0")
    choices.verbose = False
    rest: list[str] = []
    words = iter(given)
    for word in words:
        if word == "--":
            rest += ["--", *words]
        elif word == "--json":
            choices.json = True
        elif word in ("-v", "--verbose"):
            choices.verbose = True
        elif word == "--color":
            choices.color = next(words, "")
        elif word.startswith("--color="):
            choices.color = word.partition("=")[2]
        else:
            rest.append(word)
    if choices.color not in COLORS:
        wrong, choices.color = choices.color, "auto"
        raise Stop(
            Exit.USAGE,
            f"error: --color cannot be {wrong!r}" if wrong else "error: --color needs a value",
            did_you_mean(wrong, COLORS),
        )
    return rest


def colored(stream: TextIO) -> bool:
    """Whether ``stream`` gets colour."""
    if choices.color != "auto":
        return choices.color == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def talk(text: str = "") -> None:
    """A line for the person at the terminal, on stderr. A terminal that is gone ends nothing."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        _discard(sys.stderr)


def emit_json(value: dict[str, Any]) -> None:
    """One JSON document on stdout, with the version of its format."""
    print(json.dumps({"format_version": FORMAT_VERSION, **value}, ensure_ascii=False), flush=True)


def fail(message: str, code: int, *, problems: list[dict[str, Any]] | None = None) -> None:
    """Tells a failure: to the person always, and as data when JSON was asked for."""
    talk(_inked(message))
    if choices.json:
        lines = message.splitlines()
        error: dict[str, Any] = {"exit_code": int(code)}
        if problems is None:
            error["message"] = lines[0].removeprefix("error: ")
            error["details"] = lines[1:]
        else:
            error["problems"] = problems
        emit_json({"error": error})


def _inked(message: str) -> str:
    """The leading `error:` in red; a message with its own colours stays as it is."""
    if message.startswith("error: ") and colored(sys.stderr):
        return f"\x1b[31;1merror\x1b[0m\x1b[1m:{message.removeprefix('error:')}\x1b[0m"
    return message


def discard_stdout() -> None:
    """What is still buffered goes nowhere, so that the interpreter does not complain at its end."""
    _discard(sys.stdout)


def _discard(stream: TextIO) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def build_facts() -> dict[str, str]:
    """Versions of what is running."""
    import platform

    from tailrace._runtime import build_info

    built = build_info()
    return {
        "tailrace": built["version"],
        "profile": built["profile"],
        "python": platform.python_version(),
        "platform": f"{platform.system().lower()} {platform.machine()}",
    }


def build_line(facts: dict[str, str]) -> str:
    """`build_facts` for a person."""
    return (
        f"tailrace {facts['tailrace']} ({facts['profile']} build) · "
        f"python {facts['python']} · {facts['platform']}"
    )
