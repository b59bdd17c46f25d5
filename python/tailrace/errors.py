"""What goes wrong before a service runs, said so that the reader can fix it.

The failure prevented: a traceback through this library for a mistake in the user's file. Every
problem has one cause, a stable code, the span of the user's code it is about, why it matters and
what to write instead; all problems of a service are reported together.

    TailraceError            base; `render()` draws every problem, `exit_code` is the verb's
     ├─ DeclarationError     the declaration cannot become a blueprint (exit code 2)
     └─ ConfigError          a TOML file, environment variable or flag is wrong (exit code 2)

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

__all__ = ["CODES", "ConfigError", "DeclarationError", "Problem", "TailraceError"]

SHOWN_MAX = 10
_RED, _BLUE, _BOLD, _PLAIN = "\x1b[31;1m", "\x1b[34;1m", "\x1b[1m", "\x1b[0m"


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
        red, blue, bold, plain = (_RED, _BLUE, _BOLD, _PLAIN) if color else ("", "", "", "")
        lines = [f"{red}error[{self.code}]{plain}{bold}: {self.message}{plain}"]
        gutter = 2
        if self.place is not None:
            gutter = max(2, len(str(self.place.line))) if self.place.line else 2
            lines += _frame(self.place, self.label, gutter, blue, red, plain)
        pad = " " * (gutter + 1)
        lines += [f"{pad}{blue}={plain} note: {note}" for note in self.notes]
        lines += [f"{pad}{blue}={plain} help: {text}" for text in self.helps]
        lines.append(f"{pad}{blue}={plain} more: tailrace explain {self.code}")
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


def suggestion(name: str, known: Iterable[str], noun: str = "") -> tuple[str, ...]:
    """"did you mean" by edit distance, or the names there are."""
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


def _frame(
    place: Place, label: str, gutter: int, blue: str, red: str, plain: str
) -> Sequence[str]:
    arrow = f"{' ' * gutter}{blue}-->{plain} "
    if not place.line:
        return [arrow + place.file] + ([f"{' ' * gutter} {blue}={plain} {label}"] if label else [])
    text = line_text(place)
    head = f"{arrow}{shown_path(place.file)}:{place.line}:{_shown_column(place)}"
    if not text:
        return [head] + ([f"{' ' * gutter} {blue}={plain} {label}"] if label else [])
    raw = text.encode()
    start = len(raw[: place.column].decode(errors="replace").expandtabs(4))
    stop = place.end_column if place.end_line == place.line else len(raw)
    width = len(raw[: max(stop, place.column + 1)].decode(errors="replace").expandtabs(4)) - start
    bar = f"{' ' * gutter} {blue}|{plain}"
    carets = f"{' ' * start}{red}{'^' * max(width, 1)}{f' {label}' if label else ''}{plain}"
    number = f"{blue}{place.line:>{gutter}} |{plain}"
    return [head, bar, f"{number} {text.expandtabs(4)}", f"{bar} {carets}"]


def _shown_column(place: Place) -> int:
    return len(line_text(place).encode()[: place.column].decode(errors="replace")) + 1
