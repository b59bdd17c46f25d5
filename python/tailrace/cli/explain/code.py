"""The page of an error code.

The failure prevented: a code that must be searched for. Pages stand in ``tailrace._codes``; here
they are only laid out.
"""

from __future__ import annotations

import textwrap
from dataclasses import asdict

from tailrace.cli import _output
from tailrace.cli._exit import Exit, Stop, did_you_mean
from tailrace.cli._output import WIDTH, emit_json
from tailrace.errors import CODES


def show(given: str) -> int:
    """Prints the page of one code."""
    name = given.upper()
    if name not in CODES:
        raise Stop(
            Exit.USAGE,
            f"error: there is no code {name}",
            did_you_mean(name, CODES),
            "tailrace explain --codes lists all of them",
        )
    page = CODES[name]
    if _output.choices.json:
        emit_json({"code": name, **asdict(page)})
        return Exit.OK
    lines = [f"{name}: {page.title}", ""]
    for title, text in (("what", page.what), ("why", page.why_bad), ("fix", page.fix)):
        lines += textwrap.wrap(text, WIDTH, initial_indent=f"{title:<6}", subsequent_indent=" " * 6)
    lines += ["", *(f"    {line}" for line in page.example.splitlines())]
    print("\n".join(lines))
    return Exit.OK


def show_all() -> int:
    """Prints every code with its title."""
    if _output.choices.json:
        emit_json({"codes": {name: asdict(page) for name, page in sorted(CODES.items())}})
        return Exit.OK
    for name, page in sorted(CODES.items()):
        print(textwrap.shorten(f"{name}  {page.title}", WIDTH, placeholder=" ..."))
    return Exit.OK
