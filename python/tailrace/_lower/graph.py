"""What waits for what.

The failure prevented: a view that waits for itself, found when the first request hangs. References
of templates and `each` are edges; a cycle is printed as it runs. A strong part that reads a weak
one without a default would fail with it, which is not what weak means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tailrace._lower.context import Context
from tailrace._missing import MISSING
from tailrace._source import target

if TYPE_CHECKING:
    from tailrace._lower.views import ViewScope


def check_graph(context: Context, scope: ViewScope) -> None:
    cycle = find_cycle(scope.needs)
    if cycle:
        path = " -> ".join(f"`{name}`" for name in [*cycle, cycle[0]])
        notes = tuple(
            f"`{name}` waits for `{after}`"
            for name, after in zip(cycle, [*cycle[1:], cycle[0]], strict=True)
        )
        place = target(scope.parts[cycle[0]].place)
        message = f"parts of {scope.label} wait for each other: {path}"
        helps = ("take one of these references from a parameter instead",)
        context.problem("TR057", message, place, notes=notes, helps=helps)
    for name, needs in scope.needs.items():
        part = scope.parts[name]
        for other in sorted(needs & set(scope.parts)):
            source = scope.parts[other]
            weak = source.strength == "weak" and source.default in (MISSING, None)
            if part.strength == "strong" and weak and other != name:
                message = f"strong part `{name}` reads the weak part `{other}`"
                context.problem(
                    "TR113",
                    message,
                    target(part.place),
                    label=f"when `{other}` fails, this fails, and with it the request",
                    helps=(
                        f"make `{other}` strong, make `{name}` weak, or give `{other}` a default",
                    ),
                )


def find_cycle(needs: dict[str, set[str]]) -> list[str]:
    """Names on one cycle, in the order they wait; empty when there is none. Self references are not
    cycles here: they are reported where they stand."""
    done: set[str] = set()
    for start, after in needs.items():
        trail = [start]
        stack = [(start, iter(sorted(after)))]
        while stack:
            name, rest = stack[-1]
            step = next(rest, None)
            if step is None:
                done.add(name)
                stack.pop()
                trail.pop()
            elif step in trail and step != name:
                return trail[trail.index(step) :]
            elif step in needs and step not in done and step != name:
                trail.append(step)
                stack.append((step, iter(sorted(needs[step]))))
    return []
