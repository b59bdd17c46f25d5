"""``tailrace serve``: run a service.

Everything wrong with the declaration, the configuration or the machine is said before the port
opens. The first Ctrl-C or SIGTERM drains, the second stops.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from tailrace import __name__ as package
from tailrace.cli._exit import Exit, Stop
from tailrace.cli._load import find_target, load_service
from tailrace.cli._output import emit_json, talk

HELP = "Run a service."
EPILOG = """Examples:

  tailrace serve service:service

  tailrace serve service.py --port 8081 --access-log off

  TAILRACE_UPSTREAMS_ORDERS_URL=http://orders:9001 tailrace serve app:service
"""
# Variables that belong to this command line rather than to the service's options.
VARIABLES = ("TAILRACE_APP", "TAILRACE_CONFIG", "TAILRACE_DRAIN", "TAILRACE_PROTECTIONS")


def serve(
    target: Annotated[
        str | None, typer.Argument(help="MODULE:ATTR or FILE.py[:ATTR].", envvar="TAILRACE_APP")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address of the service port.")] = None,
    port: Annotated[int | None, typer.Option(help="Service port; 0 lets the system choose.")] = None,
    admin_host: Annotated[str | None, typer.Option(help="Address of the admin port.")] = None,
    admin_port: Annotated[int | None, typer.Option(help="Admin port.")] = None,
    workers: Annotated[int | None, typer.Option(help="Threads; default: usable CPUs.")] = None,
    config: Annotated[
        str | None, typer.Option(help="TOML file of overrides.", envvar="TAILRACE_CONFIG")
    ] = None,
    access_log: Annotated[str | None, typer.Option(help="PATH, - for stdout, or off.")] = None,
    log_format: Annotated[str | None, typer.Option(help="json or text.")] = None,
    drain: Annotated[str | None, typer.Option(help="Patience after SIGTERM, e.g. 15s.")] = None,
    protections: Annotated[
        str, typer.Option(help="off: lab only.", envvar="TAILRACE_PROTECTIONS")
    ] = "on",
    json: Annotated[bool, typer.Option("--json", help="One ready line on stdout.")] = False,
) -> None:
    """Run a service."""
    found = find_target(target)
    if target is None:
        talk(f"serving {found}")
    flags = {
        "listen.host": host,
        "listen.port": port,
        "listen.admin_host": admin_host,
        "listen.admin_port": admin_port,
        "listen.workers": workers,
        "limits.drain": drain,
        **_log_flags(access_log, log_format),
    }
    blueprint, origins = _effective(found, config, flags)
    if protections not in ("on", "off"):
        raise Stop(Exit.USAGE, "error: --protections is on or off")
    blueprint["protections"] = protections
    sys.exit(_run(blueprint, origins, as_json=json))


def _log_flags(access_log: str | None, log_format: str | None) -> dict[str, Any]:
    flags: dict[str, Any] = {"access_log.format": log_format}
    if access_log == "off":
        flags["access_log.format"] = "off"
    elif access_log not in (None, "-"):
        flags["access_log.path"] = access_log
    return flags


def _effective(
    target: str, config: str | None, flags: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, str]]:
    from tailrace._config import resolve

    service = load_service(target)
    given = {name: value for name, value in flags.items() if value is not None}
    resolved = resolve(service, config, os.environ, given, other_variables=VARIABLES)
    return resolved.blueprint, resolved.origins


def _run(blueprint: dict[str, Any], origins: dict[str, str], *, as_json: bool) -> int:
    import json

    from tailrace._runtime import PlaneError, Running

    if blueprint["protections"] == "off":
        talk("warning: protections are OFF: no caps, no deadlines, blind retries; lab only")
    try:
        running = Running(json.dumps(blueprint).encode(), origins)
    except PlaneError as error:
        message, code = error.args
        raise Stop(Exit(code), f"error: {message}{_owner(message)}") from None
    _announce(blueprint, running.plane, as_json=as_json)
    received = running.wait_for_signal()
    patience = blueprint.get("limits", {}).get("drain_ms", 15_000) / 1000

    def tell(in_flight: int, left: float) -> None:
        noun = "request" if in_flight == 1 else "requests"
        talk(f"draining {in_flight} {noun}, {left:.1f} s left; again to stop now")

    finished = running.drain(patience, tell)
    talk("drained" if finished else "stopped before everything finished")
    return Exit.INTERRUPTED if received == signal.SIGINT else Exit.TERMINATED


def _announce(blueprint: dict[str, Any], plane: Any, *, as_json: bool) -> None:
    if as_json:
        emit_json(
            {
                "ready": True,
                "service": f"http://{plane.address}",
                "admin": f"http://{plane.admin_address}",
                "pid": os.getpid(),
            }
        )
    talk(f"{package} serves {blueprint['service']} on http://{plane.address}")
    for view in blueprint["views"][:6]:
        parts = [
            part["name"] + ("" if part["strength"] == "strong" else "?") for part in view["parts"]
        ]
        talk(f"  {view['method']} {view['path']}  {view['deadline_ms']:g} ms  {' '.join(parts)}")
    if len(blueprint["views"]) > 6:
        talk(f"  and {len(blueprint['views']) - 6} more views")
    noun = "worker" if plane.workers == 1 else "workers"
    talk(f"admin http://{plane.admin_address}  {plane.workers} {noun}; Ctrl-C drains")
    for name in plane.unresolved[:3]:
        talk(f"warning: upstream {name} does not resolve yet; tried again every few seconds")


def _owner(message: str) -> str:
    """Who holds the port of an "in use" message, when that can be known."""
    if "is in use" not in message:
        return ""
    try:
        host, _, port = message.split(" ", 1)[0].rpartition(":")
        probe = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        with probe:
            probe.bind((host.strip("[]"), int(port)))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return ""
    except ValueError:
        return ""
    inode = _inode_of_port(int(port))
    for process in Path("/proc").glob("[0-9]*") if inode else ():
        try:
            links = [os.readlink(link) for link in (process / "fd").iterdir()]
            name = (process / "comm").read_text().strip()
        except OSError:
            continue
        if f"socket:[{inode}]" in links:
            return f" (used by pid {process.name}, {name})"
    return ""


def _inode_of_port(port: int) -> str:
    wanted = f":{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            columns = row.split()
            if columns[1].endswith(wanted) and columns[3] == "0A":
                return columns[9]
    return ""
