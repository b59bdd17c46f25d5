"""What goes wrong before a service runs, said so that the reader can fix it.

The failure prevented: a traceback through this library for a mistake in the user's file. Every
problem has one cause, a stable code, the span of the user's code it is about, why it matters and
what to write instead; all problems of a service are reported together.

    TailraceError            base; `render()` draws every problem, `exit_code` is the verb's
     ├─ DeclarationError     the declaration cannot become a blueprint (exit code 2)
     ├─ ConfigError          a TOML file, environment variable or flag is wrong (exit code 2)
     └─ CallFailed           a call of Python code failed: upstream, reason, statuses

`CODES` documents each code for `tailrace explain TR104`; a test holds raised codes and entries
together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from tailrace._source import Place, line_text, shown_path

if TYPE_CHECKING:
    from tailrace._codes import CodeDoc

    CODES: dict[str, CodeDoc]

__all__ = ["CODES", "CallFailed", "ConfigError", "DeclarationError", "Problem", "TailraceError"]

SHOWN_MAX = 10


def __getattr__(name: str) -> Any:
    """Loads the code pages on first use: `tailrace --help` needs none of them."""
    if name == "CODES":
        from tailrace._codes import CODES

        return CODES
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: `label` stands beside the carets, `notes` say why, `helps` what to write."""

    code: str
    message: str
    place: Place | None = None
    label: str = ""
    notes: tuple[str, ...] = ()
    helps: tuple[str, ...] = ()

    def render(self, *, color: bool = False) -> str:
        ink = _COLORS if color else _Ink()
        lines = [f"{ink.red}error[{self.code}]{ink.plain}{ink.bold}: {self.message}{ink.plain}"]
        gutter = 2
        if self.place is not None:
            gutter = max(2, len(str(self.place.line)))
            lines += _frame(self.place, self.label, gutter, ink)
        lead = f"{' ' * (gutter + 1)}{ink.blue}={ink.plain}"
        lines += [f"{lead} note: {note}" for note in self.notes]
        lines += [f"{lead} help: {text}" for text in self.helps]
        lines.append(f"{lead} more: tailrace explain {self.code}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The problem as data, for `--json`."""
        place = self.place
        return {
            "code": self.code,
            "message": self.message,
            "file": shown_path(place.file) if place and place.line else place and place.file,
            "line": place.line if place and place.line else None,
            "column": _shown_column(place) if place and place.line else None,
            "label": self.label,
            "notes": list(self.notes),
            "helps": list(self.helps),
        }


class TailraceError(Exception):
    """Base of every error tailrace raises on purpose."""

    exit_code: ClassVar[int] = 2

    def __init__(self, problems: Iterable[Problem] | Problem) -> None:
        given = (problems,) if isinstance(problems, Problem) else tuple(problems)
        self.problems: tuple[Problem, ...] = given
        super().__init__(given)

    def __str__(self) -> str:
        return "\n" + self.render()

    def render(self, *, color: bool = False) -> str:
        """Every problem with its code frame; what the others may follow from comes last."""
        shown = self.problems[:SHOWN_MAX]
        blocks = [problem.render(color=color) for problem in reversed(shown)]
        hidden = len(self.problems) - len(shown)
        if hidden:
            blocks.insert(0, f"{hidden} more not shown; they may follow from these:")
        return "\n\n".join(blocks)


class DeclarationError(TailraceError):
    """The declaration cannot become a blueprint."""


class ConfigError(TailraceError):
    """A TOML file, environment variable or flag is wrong."""


class CallFailed(TailraceError):  # noqa: N818 - the word of reasons and docs
    """A strong call of Python code failed.

    `reason` is the word that header, log and metric use (docs/reference/reasons.md), `status` what
    a reply becomes when nobody catches this, `answered` the status the upstream answered with, or
    None when it did not answer.
    """

    def __init__(self, upstream: str, reason: str, status: int, answered: int | None) -> None:
        super().__init__(())
        self.upstream = upstream
        self.reason = reason
        self.status = status
        self.answered = answered

    def __str__(self) -> str:
        said = f", it answered {self.answered}" if self.answered else ""
        return f"the call of {self.upstream} failed: {self.reason}{said}"

    def __repr__(self) -> str:
        return f"CallFailed({self.upstream!r}, {self.reason!r}, {self.status}, {self.answered})"

    def __reduce__(self) -> tuple[Any, ...]:
        return CallFailed, (self.upstream, self.reason, self.status, self.answered)


def suggestion(name: str, known: Iterable[str], noun: str = "") -> tuple[str, ...]:
    """ "did you mean" by edit distance, or the names there are."""
    import difflib

    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return (f"did you mean `{near[0]}`?",)
    if not names:
        return (f"there are no {noun}",) if noun else ()
    listed = ", ".join(f"`{known_name}`" for known_name in names[:8])
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return (f"{noun or 'known'}: {listed}{more}",)


@dataclass(frozen=True, slots=True)
class _Ink:
    """Escape codes, or nothing."""

    red: str = ""
    blue: str = ""
    bold: str = ""
    plain: str = ""


_COLORS = _Ink("\x1b[31;1m", "\x1b[34;1m", "\x1b[1m", "\x1b[0m")


def _frame(place: Place, label: str, gutter: int, ink: _Ink) -> Sequence[str]:
    arrow = f"{' ' * gutter}{ink.blue}-->{ink.plain} "
    aside = [f"{' ' * gutter} {ink.blue}={ink.plain} {label}"] if label else []
    if not place.line:
        return [arrow + place.file, *aside]
    text = line_text(place)
    head = f"{arrow}{shown_path(place.file)}:{place.line}:{_shown_column(place)}"
    if not text:
        return [head, *aside]
    raw = text.encode()
    start = len(raw[: place.column].decode(errors="replace").expandtabs(4))
    stop = place.end_column if place.end_line == place.line else len(raw)
    width = len(raw[: max(stop, place.column + 1)].decode(errors="replace").expandtabs(4)) - start
    bar = f"{' ' * gutter} {ink.blue}|{ink.plain}"
    pointed = f"{'^' * max(width, 1)}{f' {label}' if label else ''}"
    number = f"{ink.blue}{place.line:>{gutter}} |{ink.plain}"
    carets = f"{bar} {' ' * start}{ink.red}{pointed}{ink.plain}"
    return [head, bar, f"{number} {text.expandtabs(4)}", carets]


def _shown_column(place: Place) -> int:
    return len(line_text(place).encode()[: place.column].decode(errors="replace")) + 1
