"""The corpora of the codec (`crates/tailrace-plane/tests/h1`), for readers written in Python.

Prevents a second corpus that drifts from the first: rows are read from where Rust reads them, with
the same escapes, and a row that does not read is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
CORPUS: Final = ROOT / "crates" / "tailrace-plane" / "tests" / "h1" / "corpus"
PROBLEMS: Final = ROOT / "docs" / "reference" / "problems.md"
LENIENCY: Final = ROOT / "docs" / "reference" / "leniency.md"
# The limits the request rows were written for (`peer.rs` beside the corpus).
LIMITS: Final = {"head_max": "2KiB", "headers_max": "32", "uri_max": "512B"}
BODY_MAX: Final = "4KiB"

_GET: Final = r"GET / HTTP/1.1\r\nHost: a\r\n"
_MACROS: Final = {
    "G": _GET,
    "P": _GET.replace("GET", "POST"),
    "CANARY": r"GET /canary HTTP/1.1\r\nHost: a\r\n\r\n",
    "O": r"HTTP/1.1 200 OK\r\n",
    "FOREIGN": r"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nforeign",
}
_PLAIN: Final = {"r": b"\r", "n": b"\n", "t": b"\t", "\\": b"\\"}


@dataclass(frozen=True)
class Row:
    """A row; `asked` is the method of the request that a response row answers."""

    name: str
    asked: str
    expected: str
    data: bytes

    @property
    def refusal(self) -> str | None:
        """The code the codec refuses the row with; None when it takes it, or waits for more."""
        words = self.expected.split()
        if words[0] not in ("head", "body") or words[-1] == "body_truncated":
            return None
        return words[-1]


def unescape(text: str) -> bytes:
    """The bytes a row's text stands for."""
    out = b""
    while text:
        if text[0] == "\\" and text[1] == "x":
            out, text = out + bytes.fromhex(text[2:4]), text[4:]
        elif text[0] == "\\":
            out, text = out + _PLAIN[text[1]], text[2:]
        elif text[0] == "{":
            inside = text[1 : _closing(text)]
            text = text[len(inside) + 2 :]
            word, star, times = inside.rpartition("*")
            out += unescape(word) * int(times) if star else unescape(_MACROS[inside])
        else:
            out, text = out + text[0].encode("ascii"), text[1:]
    return out


def _closing(text: str) -> int:
    depth = 0
    for index, char in enumerate(text):
        depth += (char == "{") - (char == "}")
        if depth == 0:
            return index
    raise ValueError(f"no closing brace in {text!r}")


def _lines(name: str) -> Iterator[str]:
    text = (CORPUS / name).read_text(encoding="utf-8")
    return (line for line in text.split("\n") if line and not line.startswith("#"))


def requests() -> list[Row]:
    """The request corpus."""
    cut = (line.split(" | ", 2) for line in _lines("requests.txt"))
    return [Row(name, "", expected, unescape(text)) for name, expected, text in cut]


def responses() -> list[Row]:
    """The response corpus."""
    cut = (line.split(" | ", 3) for line in _lines("responses.txt"))
    return [Row(name, asked, expected, unescape(text)) for name, asked, expected, text in cut]


def refusal_codes() -> set[str]:
    """Every code with which a head or a body is refused, as the reference lists them."""
    text = PROBLEMS.read_text(encoding="utf-8")
    blocks = re.findall(r"<!-- begin:(?:heads|bodies) -->(.*?)<!-- end:", text, re.DOTALL)
    codes = set(re.findall(r"^\| `(\w+)` \|", "".join(blocks), re.MULTILINE))
    assert len(codes) >= 30, f"{PROBLEMS} lists only {len(codes)} codes"
    return codes


def published() -> dict[str, dict[str, int]]:
    """Reader -> code -> how many rows `leniency.md` says it accepts and we refuse."""
    page = LENIENCY.read_text(encoding="utf-8")
    section = page.partition("## By code\n")[2].partition("\n## ")[0]
    lines = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:1] == "|"]
    readers, counts = lines[0][1:-1], {line[0].strip("`"): line[1:-1] for line in lines[2:]}
    return {
        reader: {code: int(cells[column]) for code, cells in counts.items()}
        for column, reader in enumerate(readers)
    }
