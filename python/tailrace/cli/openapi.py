"""``tailrace openapi``: the service's contract, for its callers and their generators.

The failure prevented: a contract that was right once. The document is made from the service as it
would be served; `--check` compares a kept file with it, so that a change nobody meant fails a build
and not a client.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from tailrace.cli import _output
from tailrace.cli._exit import Exit, Stop
from tailrace.cli._load import find_target, load_service
from tailrace.cli._output import emit_json, talk

PURPOSE = "the service's contract: OpenAPI 3.1, or a page to read"
EXAMPLES = (
    "tailrace openapi service.py --out openapi.json",
    "tailrace openapi shop.service:service --out docs.html",
    "tailrace openapi service.py --check openapi.json",
)

Target = Annotated[
    str | None,
    typer.Argument(
        metavar="APP",
        help="MODULE:ATTR or FILE.py[:ATTR]; left out: service.py, app.py or main.py.",
        envvar="TAILRACE_APP",
    ),
]
Out = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Write it there; a name in .html gets the page."),
]
Check = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Compare with a kept file; exit code 1 when it differs."),
]
Server = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Where callers reach the service.",
        envvar="TAILRACE_OPENAPI_SERVER",
    ),
]
Config = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="TOML overrides (tailrace.toml).", envvar="TAILRACE_CONFIG"),
]


def openapi(
    target: Target = None,
    *,
    out: Out = None,
    check: Check = None,
    server: Server = None,
    config: Config = None,
) -> int:
    """Prints, writes or compares the document."""
    from tailrace._openapi import render

    if out is not None and check is not None:
        raise Stop(Exit.USAGE, "error: --out and --check cannot both be given", "leave one out")
    if server is not None and not server.startswith(("http://", "https://", "/")):
        hint = "a URL starts with http:// or https://"
        raise Stop(Exit.USAGE, f"error: --server cannot be {server!r}", hint)
    document = _document(find_target(target), config, server)
    if check is not None:
        return _compare(document, Path(check))
    if out is not None:
        return _write(document, Path(out))
    if _output.choices.json:
        emit_json({**_facts(document), "document": document})
    else:
        print(render(document).decode(), end="")
    return Exit.OK


def _document(target: str, config: str | None, server: str | None) -> dict[str, Any]:
    from tailrace._config import resolve
    from tailrace._openapi import document

    service = load_service(target)
    resolved = resolve(service, config, os.environ, other_variables=_output.VARIABLES)
    return document(service, resolved, server=server)


def _facts(document: dict[str, Any]) -> dict[str, Any]:
    info = document["info"]
    return {"service": info["title"], "version": info["version"], "paths": len(document["paths"])}


def _content(document: dict[str, Any], file: Path) -> bytes:
    from tailrace._openapi import page, render

    return page(document) if file.suffix in (".html", ".htm") else render(document)


def _write(document: dict[str, Any], file: Path) -> int:
    content = _content(document, file)
    try:
        file.write_bytes(content)
    except OSError as refused:
        message = f"error: cannot write {file}: {refused.strerror}"
        raise Stop(
            Exit.ENVIRONMENT, message, "give a file in a folder that you may write"
        ) from None
    facts = _facts(document)
    if _output.choices.json:
        emit_json({**facts, "file": str(file), "bytes": len(content)})
    noun = "path" if facts["paths"] == 1 else "paths"
    talk(f"{file}: {facts['service']}, version {facts['version']}, {facts['paths']} {noun}")
    return Exit.OK


def _compare(document: dict[str, Any], file: Path) -> int:
    try:
        kept = file.read_bytes()
    except OSError as refused:
        message = f"error: cannot read {file}: {refused.strerror}"
        raise Stop(Exit.USAGE, message, f"make it: tailrace openapi --out {file}") from None
    same = kept == _content(document, file)
    facts = _facts(document)
    if _output.choices.json:
        emit_json({**facts, "file": str(file), "same": same})
    if same:
        talk(f"{file} is what {facts['service']} serves, version {facts['version']}")
        return Exit.OK
    talk(f"{file} is not what {facts['service']} serves, version {facts['version']}")
    talk(f"  help: when the change is meant, write it anew: tailrace openapi --out {file}")
    return Exit.FAILED
