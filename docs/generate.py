#!/usr/bin/env python3
"""What pages repeat of code and of recorded runs: `python docs/generate.py`, `--check` compares.

Prevents a page that says one word while the plane says another. A page holds pairs of markers; what
stands between them is written from the sources. Rust is read by regular expressions, which works
because it is formatted by rustfmt; a table that comes out empty is an error. What a verb has said
comes from the file that `docs/record.py` wrote. Prose is written by hand. Needs the Python
environment of tailrace, but not the built plane.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent))

import catalogue

ROOT: Final = Path(__file__).resolve().parent.parent
PAGES: Final = ROOT / "docs"
RECORDED: Final = PAGES / "recorded"
PLANE: Final = ROOT / "crates" / "tailrace-plane" / "src"
BLOCK: Final = re.compile(r"(<!-- begin:(\w+) -->\n).*?(<!-- end:\2 -->)", re.DOTALL)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    listed = list(rows)
    if not listed:
        raise SystemExit(f"docs/generate.py: nothing found for the table {head}")
    lines = [head, tuple("---" for _ in head), *listed]
    cells = ([cell.replace("|", "\\|") for cell in row] for row in lines)
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def _source(*parts: str) -> str:
    return PLANE.joinpath(*parts).read_text(encoding="utf-8")


def _function(text: str, name: str) -> str:
    """The body of a Rust function, found by the indent of its closing brace."""
    found = re.search(rf"^( *)(?:pub )?fn {name}\b.*?^\1}}", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise SystemExit(f"docs/generate.py: there is no function {name}")
    return found[0]


def _arms(body: str) -> dict[str, str]:
    """`Self::A | Self::B => value` by variant; the wildcard is `_`."""
    found = {}
    for names, value in re.findall(r'((?:Self::\w+[\s|]*)+|_ )=>\s*\{?\s*("[^"]*"|[^,{}]+)', body):
        for name in re.findall(r"Self::(\w+)|(_)", names):
            found[name[0] or name[1]] = value.strip().strip('"')
    return found


def reasons() -> str:
    """Every reason with its status and its sentence."""
    text = _source("reason.rs")
    codes, details, statuses = (_arms(_function(text, one)) for one in ("code", "detail", "status"))
    rows = []
    for variant in re.findall(r"Self::(\w+)", text.partition("const ALL")[2].partition("];")[0]):
        status = statuses.get(variant, statuses["_"])
        rows.append((f"`{codes[variant]}`", status, details[variant]))
    return _table(("code", "status when strong", "detail"), rows)


def _words(text: str) -> list[tuple[str, str, str]]:
    pattern = r'Self::(\w+) => (?:\{\s*)?\(\s*"(\w+)",\s*"([^"]*)",?\s*\)'
    return [(name, code, words) for name, code, words in re.findall(pattern, text)]


def heads() -> str:
    """Why a request head is refused."""
    text = _source("h1", "refusal.rs")
    statuses = _arms(_function(text, "status"))
    rows = [
        (f"`{code}`", statuses.get(name, statuses["_"]), words)
        for name, code, words in _words(text)
    ]
    return _table(("code", "status", "detail"), rows)


def bodies() -> str:
    """Why a request body is refused."""
    rows = [
        (f"`{code}`", "413" if name == "TooLarge" else "400", words)
        for name, code, words in _words(_source("h1", "body.rs"))
    ]
    return _table(("code", "status", "detail"), rows)


def metrics() -> str:
    """Every series, as it is called in a query."""
    rows = [
        (f"`{metric.shown}`", metric.kind, ", ".join(metric.labels), metric.help)
        for event in catalogue.events()
        for metric in event.metrics
    ]
    return _table(("metric", "type", "labels", "what"), rows)


def events() -> str:
    """Every event with what it is counted as and what of it is logged."""
    blocks = []
    for event in catalogue.events():
        lines = [f"## {event.name}\n\n{event.doc}.\n"]
        if event.metrics:
            counted = [(f"`{metric.shown}`", metric.kind, metric.help) for metric in event.metrics]
            lines.append(_table(("metric", "type", "what"), counted))
        if event.fields:
            logged = [(f"`{field.name}`", field.unit, field.doc) for field in event.fields]
            lines.append(_table(("field of the log", "unit", "what"), logged))
        blocks.append("\n".join(lines))
    return "\n".join(blocks)


def codes() -> str:
    """Every TR code with its title and what to do."""
    from tailrace._codes import CODES

    rows = [(f"`{code}`", doc.title, doc.fix) for code, doc in CODES.items()]
    return _table(("code", "what", "do"), rows)


def verbs() -> str:
    """The help of every verb, as the command prints it."""
    from tailrace import cli
    from tailrace.cli import _command

    blocks = [f"```text\n{cli.usage()}\n```\n"]
    for verb in cli.VERBS:
        module = import_module(f"tailrace.cli.{verb}")
        text = _command.help_text(verb, module, _command.command_of(verb, module))
        own = text.partition("\nOptions of every verb:")[0].rstrip()
        blocks.append(f"## {verb}\n\n```text\n{own}\n```\n")
    return "\n".join(blocks)


def recorded_why_p99() -> str:
    """A run of the demo with a fault, and what `tailrace why p99` said of it."""
    told = json.loads((RECORDED / "why-p99.json").read_text(encoding="utf-8"))
    *before, last = told["commands"]
    lines = [*(f"$ {one} &" if "--hold" in one else f"$ {one}" for one in before)]
    lines += [f"$ {last}    # after {told['seconds']:g} s", told["output"].rstrip()]
    shown = "\n".join(lines)
    return (
        f"```console\n{shown}\n```\n\n"
        f"Recorded {told['date']} by `{told['written_by']}`: tailrace {told['version']}, "
        f"{told['profile']} build,\n{told['machine']}.\n"
    )


TABLES: Final[dict[str, Callable[[], str]]] = {
    "reasons": reasons,
    "heads": heads,
    "bodies": bodies,
    "metrics": metrics,
    "events": events,
    "codes": codes,
    "verbs": verbs,
    "recorded_why_p99": recorded_why_p99,
}


def written(text: str) -> str:
    """A page with what stands between its markers written anew."""
    return BLOCK.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[3]}", text)


def main(argv: list[str]) -> int:
    """Writes the pages, or with `--check` names those that are out of date."""
    stale = []
    for page in sorted(PAGES.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        new = written(text)
        if new == text:
            continue
        stale.append(page.relative_to(ROOT).as_posix())
        if "--check" not in argv:
            page.write_text(new, encoding="utf-8")
    told = "is out of date; run python docs/generate.py" if "--check" in argv else "written"
    for name in stale:
        print(f"{name} {told}")
    return 1 if stale and "--check" in argv else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
