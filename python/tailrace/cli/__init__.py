"""The ``tailrace`` command: one verb per module, imported when it is run.

``tailrace --help`` imports neither typer nor pydantic, so that it answers at once.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from importlib import import_module

from tailrace.cli._exit import Exit, Stop
from tailrace.cli._output import emit_json, talk, wants_color

VERBS = {
    "serve": "run a service",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a verb and exits with its code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _dispatch(given)
    except Stop as stop:
        if stop.message:
            talk(stop.message)
        code = stop.code
    except KeyboardInterrupt:
        code = Exit.INTERRUPTED
    except BrokenPipeError:
        code = Exit.OK
    sys.exit(int(code))


def _dispatch(given: list[str]) -> int:
    if not given or given[0] in ("-h", "--help", "help"):
        print(usage())
        return Exit.OK
    if given[0] in ("-V", "--version"):
        return _version(as_json="--json" in given)
    verb = given[0]
    if verb not in VERBS:
        near = difflib.get_close_matches(verb, VERBS, n=1)
        meant = f"did you mean {near[0]}?" if near else f"verbs: {', '.join(VERBS)}"
        raise Stop(Exit.USAGE, f"error: unknown verb {verb!r}\nhelp: {meant}")
    return _run_verb(verb, given[1:])


def _run_verb(verb: str, rest: list[str]) -> int:
    import typer

    from tailrace.errors import TailraceError

    module = import_module(f"tailrace.cli.{verb}")
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name=verb, help=module.HELP, epilog=module.EPILOG)(getattr(module, verb))
    try:
        result = app(rest, prog_name=f"tailrace {verb}", standalone_mode=True)
    except TailraceError as error:
        talk(error.render(color=wants_color(sys.stderr)))
        return error.exit_code
    except SystemExit as end:
        return int(end.code or 0) if not isinstance(end.code, str) else Exit.FAILED
    return int(result or 0)


def usage() -> str:
    """The top-level help."""
    verbs = "\n".join(f"  {name:<12}{what}" for name, what in VERBS.items())
    return (
        "tailrace: aggregation services with a bounded tail\n\n"
        "usage: tailrace VERB [OPTIONS]      tailrace VERB --help\n\n"
        f"verbs:\n{verbs}\n\n"
        "exit codes: 0 done, 1 a limit failed, 2 usage or configuration, 3 environment,\n"
        "            4 result invalid, 70 internal error, 130/143 after drain"
    )


def _version(*, as_json: bool) -> int:
    import platform

    from tailrace._runtime import build_info

    built = build_info()
    facts = {
        "tailrace": built["version"],
        "profile": built["profile"],
        "python": platform.python_version(),
        "platform": f"{platform.system().lower()} {platform.machine()}",
    }
    if as_json:
        emit_json(dict(facts))
    else:
        print(
            f"tailrace {facts['tailrace']} ({facts['profile']} build) · "
            f"python {facts['python']} · {facts['platform']}"
        )
    return Exit.OK
