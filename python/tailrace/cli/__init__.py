"""The ``tailrace`` command: one verb per module, imported when it is run.

The failure prevented: a command line that is slow to say what it can do, and a verb that ends in a
traceback. ``tailrace --help`` imports neither typer nor rich nor pydantic; whatever a verb raises
becomes one message in one style and one exit code of one table (``_exit``).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from tailrace.cli import _output
from tailrace.cli._exit import Exit, Stop, did_you_mean
from tailrace.cli._output import emit_json, talk

VERBS = {
    "demo": "an order service under load, one fault half-way, measured",
    "serve": "run a service",
    "explain": "stages, worst case and limits; or what a code means",
    "openapi": "the service's contract: OpenAPI 3.1, or a page to read",
    "top": "a running service as a live table of figures",
    "tap": "finished requests of a running service, as they end",
    "profile": "processor time, memory, waits or a trace of a running service",
    "why": "which parts cause the tail, and what to do about it",
    "fault": "make a simulated upstream slow, failing, silent or well again",
    "doctor": "check what this machine allows",
    "completion": "completion script for bash, zsh or fish",
}
EXAMPLES = (
    "tailrace demo",
    "tailrace serve service.py",
    "tailrace explain service.py --origin",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a verb and exits with its code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _guarded(given)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has left (`| head`): nothing more can be said, and that is no failure.
        _output.discard_stdout()
        code = Exit.OK
    sys.exit(int(code))


def _guarded(given: list[str]) -> int:
    """Runs the command line; every failure is told once and becomes an exit code."""
    from tailrace.errors import TailraceError

    try:
        return _dispatch(_output.take_common_options(given))
    except Stop as stop:
        if stop.message:
            _output.fail(stop.message, stop.code)
        return stop.code
    except TailraceError as error:
        _output.fail(
            error.render(color=_output.colored(sys.stderr)),
            error.exit_code,
            problems=[problem.as_json() for problem in error.problems],
        )
        return error.exit_code
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except (BrokenPipeError, SystemExit):
        raise
    except BaseException as error:  # A panic of the plane is no Exception.
        from tailrace.cli._failure import internal

        return internal(error, given)


def _dispatch(given: list[str]) -> int:
    if not given or given[0] in ("-h", "--help"):
        print(usage())
        return Exit.OK
    if given[0] in ("-V", "--version"):
        return _version()
    verb, rest = given[0], given[1:]
    if verb == "help":
        verb, rest = (rest[0], ["--help"]) if rest else ("--help", [])
        return _dispatch([verb, *rest])
    if verb not in VERBS:
        kind = "option" if verb.startswith("-") else "verb"
        known = ["--help", "--version"] if kind == "option" else list(VERBS)
        raise Stop(Exit.USAGE, f"error: there is no {kind} `{verb}`", did_you_mean(verb, known))
    from tailrace.cli._command import run

    return run(verb, import_module(f"tailrace.cli.{verb}"), rest)


def usage() -> str:
    """The top-level help."""
    verbs = "\n".join(f"  {name:<12}{what}" for name, what in VERBS.items())
    examples = "\n".join(f"  {line}" for line in EXAMPLES)
    return (
        "tailrace: aggregation services with a bounded tail\n\n"
        f"Examples:\n{examples}\n\n"
        "Usage: tailrace VERB [OPTIONS]          tailrace VERB --help\n\n"
        f"Verbs:\n{verbs}\n\n"
        f"Options of every verb:\n{_output.COMMON_HELP}\n"
        "  --version          versions of tailrace, Python and the platform\n\n"
        "Exit codes: 0 done, 1 a limit failed, 2 usage or configuration, 3 environment,\n"
        "            4 result invalid, 70 internal error, 130/143 interrupted/terminated\n\n"
        "tailrace never phones home: no telemetry, no network of its own."
    )


def _version() -> int:
    facts = _output.build_facts()
    if _output.choices.json:
        emit_json(dict(facts))
        return Exit.OK
    print(_output.build_line(facts))
    if facts["profile"] == "debug":
        talk("note: a debug build is many times slower; its figures mean nothing")
    return Exit.OK
