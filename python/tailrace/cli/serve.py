"""``tailrace serve``: run a service.

The failure prevented: a service that starts and is wrong, or that drops requests when it leaves.
Everything wrong with the declaration, the configuration or the machine is said before the port
opens. The first Ctrl-C or SIGTERM drains with a countdown, the second stops (req 11.4).
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from tailrace.cli import _output
from tailrace.cli._exit import Exit, Stop, did_you_mean
from tailrace.cli._load import find_target, load_service
from tailrace.cli._output import emit_json, talk

if TYPE_CHECKING:
    from tailrace._live import Sources

PURPOSE = "run a service"
EXAMPLES = (
    "tailrace serve service.py",
    "tailrace serve shop.service:service --port 8081 --access-log off",
    "TAILRACE_UPSTREAMS_ORDERS_URL=http://orders:9001 tailrace serve app.py",
)
# Options that override the service's own: the resolver reads their variables, so that a value from
# the environment is reported as one (`tailrace explain --origin`).
OVERRIDES: Final = {
    "host": "listen.host",
    "port": "listen.port",
    "admin_host": "listen.admin_host",
    "admin_port": "listen.admin_port",
    "workers": "listen.workers",
    "drain": "limits.drain",
    "access_log": "access_log.path",
    "log_format": "access_log.format",
}
VARIABLES: Final = {
    name: "TAILRACE_" + dotted.replace(".", "_").upper() for name, dotted in OVERRIDES.items()
}
VIEWS_SHOWN: Final = 3
UNRESOLVED_SHOWN: Final = 1
DRAIN_MS: Final = 15_000

_LISTEN = "Listening"
_LOG = "Access log"


Target = Annotated[
    str | None,
    typer.Argument(
        metavar="APP",
        help="MODULE:ATTR or FILE.py[:ATTR]; left out: service.py, app.py or main.py.",
        envvar="TAILRACE_APP",
    ),
]
Host = Annotated[
    str | None, typer.Option(metavar="HOST", help="Address (127.0.0.1).", rich_help_panel=_LISTEN)
]
Port = Annotated[
    int | None, typer.Option(metavar="N", help="Port (8080); 0: any.", rich_help_panel=_LISTEN)
]
AdminHost = Annotated[
    str | None,
    typer.Option(metavar="HOST", help="Address of health and metrics.", rich_help_panel=_LISTEN),
]
AdminPort = Annotated[
    int | None,
    typer.Option(metavar="N", help="Their port (9900); 0: any.", rich_help_panel=_LISTEN),
]
Workers = Annotated[
    int | None, typer.Option(metavar="N", help="Threads (usable CPUs).", rich_help_panel=_LISTEN)
]
AccessLog = Annotated[
    str | None,
    typer.Option(metavar="PATH", help="A file, - (stdout) or off.", rich_help_panel=_LOG),
]
LogFormat = Annotated[
    str | None,
    typer.Option(metavar="FORMAT", help="json (default) or text.", rich_help_panel=_LOG),
]
Config = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="TOML overrides (tailrace.toml).", envvar="TAILRACE_CONFIG"),
]
Drain = Annotated[
    str | None, typer.Option(metavar="TIME", help="Patience for requests after SIGTERM (15s).")
]
Watch = Annotated[
    str,
    typer.Option(
        metavar="on|off", help="off: a changed TOML file waits for SIGHUP.", envvar="TAILRACE_WATCH"
    ),
]
Guards = Annotated[
    str,
    typer.Option(
        metavar="on|off", help="off removes every limit; lab only.", envvar="TAILRACE_PROTECTIONS"
    ),
]


def serve(
    target: Target = None,
    *,
    host: Host = None,
    port: Port = None,
    admin_host: AdminHost = None,
    admin_port: AdminPort = None,
    workers: Workers = None,
    access_log: AccessLog = None,
    log_format: LogFormat = None,
    config: Config = None,
    drain: Drain = None,
    watch: Watch = "on",
    protections: Guards = "on",
) -> int:
    """Runs a service until it is told to stop."""
    for option, value in (("--protections", protections), ("--watch", watch)):
        if value not in ("on", "off"):
            hint = did_you_mean(value, ("on", "off"))
            raise Stop(Exit.USAGE, f"error: {option} cannot be {value!r}", hint)
    if log_format not in (None, "json", "text"):
        hint = did_you_mean(str(log_format), ("json", "text"))
        raise Stop(Exit.USAGE, f"error: --log-format cannot be {log_format!r}", hint)
    found = find_target(target)
    flags = {
        "listen.host": host,
        "listen.port": port,
        "listen.admin_host": admin_host,
        "listen.admin_port": admin_port,
        "listen.workers": workers,
        "limits.drain": drain,
        **_log_flags(access_log, log_format),
    }
    sources = _sources(found, config, flags, protections)
    return _run(sources, found if target is None else "", watch=watch == "on")


def _log_flags(access_log: str | None, log_format: str | None) -> dict[str, Any]:
    flags: dict[str, Any] = {"access_log.format": log_format}
    if access_log == "off":
        flags["access_log.format"] = "off"
    elif access_log not in (None, "-"):
        flags["access_log.path"] = access_log
    return flags


def _sources(target: str, config: str | None, flags: dict[str, Any], protections: str) -> Sources:
    from tailrace._live import Sources

    given = {name: value for name, value in flags.items() if value is not None}
    return Sources(
        load_service(target),
        config,
        dict(os.environ),
        given,
        others=_output.VARIABLES,
        protections=protections,
    )


def _run(sources: Sources, found: str, *, watch: bool) -> int:
    from tailrace import _logs
    from tailrace._live import Live
    from tailrace._openapi import served
    from tailrace._profile import Profiles
    from tailrace._runtime import PlaneError, Running
    from tailrace._watch import FileWatch
    from tailrace.cli._lab_board import LabBoard

    # Before the file is read: a change meanwhile is not missed.
    follow = FileWatch(sources.file) if sources.file and watch else None
    resolved = sources.resolve()
    blueprint = resolved.blueprint
    openapi, docs = served(sources.service, resolved)
    try:
        source = json.dumps(blueprint).encode()
        running = Running(source, resolved.origins, openapi=openapi, docs=docs)
    except PlaneError as error:
        raise _refused(*error.args) from None
    logs = _logs.install(running.plane, blueprint.get("access_log", {}).get("format", "json"))
    host = None
    if running.plane.bridge is not None:
        from tailrace._host import hosted

        host = hosted(running.plane, blueprint, sources.service)
    board = LabBoard.around(running.plane, blueprint)
    wish = board.wish if board else None
    look = Profiles(host).wish
    live = Live(running.plane, sources, resolved, talk, follow, lab=wish, profile=look)
    _announce(blueprint, running.plane, found, follow.path if follow else "")
    received = running.wait_for_signal()
    live.end()
    if board is not None:
        board.end()
    patience = live.blueprint.get("limits", {}).get("drain_ms", DRAIN_MS) / 1000

    def tell(in_flight: int, left: float) -> None:
        if not in_flight:
            return  # Only idle connections are left to close.
        noun = "request" if in_flight == 1 else "requests"
        talk(f"draining {in_flight} {noun}, {left:.1f} s left; again to stop now")

    talk(_farewell(running.drain(patience, tell)))
    _logs.remove(logs)
    code = Exit.INTERRUPTED if received == signal.SIGINT else Exit.TERMINATED
    if host is not None and not host.stop():
        _leave(code)
    return code


def _leave(code: int) -> None:
    """Ends without the interpreter's own end, which would wait for a handler that never returns."""
    talk("a handler did not return; left behind")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _farewell(cut_off: int | None) -> str:
    if cut_off == 0:
        return "drained; every request was answered"
    if cut_off is None:
        return "stopped; requests were cut off"
    return f"stopped; {cut_off} {'request was' if cut_off == 1 else 'requests were'} cut off"


def _refused(message: str, code: int) -> Stop:
    """Why the plane did not start, with the port's owner, or each path of a wrong blueprint."""
    from tailrace.cli._ports import in_use

    taken = re.match(r"(.+):(\d+) is in use.* (--[\w-]+)$", message)
    if taken:
        host, port, option = taken.groups()
        return Stop(Exit(code), in_use(int(port), host.strip("[]"), option))
    lines = message.splitlines()
    if code == Exit.USAGE and len(lines) > 1:
        listed = "\n".join(f"  {line}" for line in lines)
        return Stop(Exit.USAGE, f"error: the plane cannot run this service\n{listed}")
    return Stop(Exit(code), f"error: {message}")


def _announce(blueprint: dict[str, Any], plane: Any, found: str, watched: str) -> None:
    """At most 12 lines on stderr; with --json also one line on stdout."""
    service, admin = f"http://{plane.address}", f"http://{plane.admin_address}"
    if _output.choices.json:
        emit_json({"ready": True, "service": service, "admin": admin, "pid": os.getpid()})
    if blueprint["protections"] == "off":
        talk("warning: protections are OFF: no caps, no deadlines, blind retries; lab only")
    talk(f"{blueprint['service']}{f' ({found})' if found else ''} serves on {service}")
    for view in blueprint["views"][:VIEWS_SHOWN]:
        talk(_view_line(view))
    if len(blueprint["views"]) > VIEWS_SHOWN:
        talk(f"  and {len(blueprint['views']) - VIEWS_SHOWN} more; tailrace explain shows them")
    noun = "worker" if plane.workers == 1 else "workers"
    talk(f"console {admin} (/docs /readyz /metrics /config) · {plane.workers} {noun}")
    _warn_about_the_tail(blueprint)
    for text in plane.unresolved[:UNRESOLVED_SHOWN]:
        name, _, reason = text.partition(" (")
        talk(f"warning: no address yet for {name}; asked again every few seconds")
        talk(f"  ({reason}")
    if len(plane.unresolved) > UNRESOLVED_SHOWN:
        talk(f"warning: nor for {len(plane.unresolved) - UNRESOLVED_SHOWN} more upstreams")
    if watched:
        talk(f"{watched} is watched: limits follow it while requests run")
    talk("Ctrl-C drains, twice stops now")


def _warn_about_the_tail(blueprint: dict[str, Any]) -> None:
    """One line when something may not fit, or does not and is allowed. What is neither was refused
    by the lowering."""
    from tailrace._tail import check_tail

    found = check_tail(blueprint)
    if found:
        first, rest = found[0], len(found) - 1
        more = f", and {rest} more" if rest else ""
        talk(f"warning: view {first.view} {first.brief}{more}; see tailrace explain")


def _view_line(view: dict[str, Any]) -> str:
    """Method, route, deadline and parts; weak parts carry a question mark."""
    if "handler" in view:
        return f"  {view['method']} {view['path']}  {view['deadline_ms']:g} ms  (Python)"
    parts = " ".join(
        part["name"] + ("" if part["strength"] == "strong" else "?") for part in view["parts"]
    )
    line = f"  {view['method']} {view['path']}  {view['deadline_ms']:g} ms  {parts}"
    return line if len(line) <= _output.WIDTH else line[: _output.WIDTH - 3] + "..."
