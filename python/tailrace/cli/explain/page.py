"""A service on one page: a tree per view, its worst case, and the upstreams' limits.

The failure prevented: a deadline or a bulkhead chosen by feeling. A part hangs below the part it
waits for longest; what else it waits for is said in words. Every number is a bound taken from the
blueprint, none was measured. 80 columns, plain ASCII lines, so that it can be pasted anywhere.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from tailrace._tail import Finding, check_tail
from tailrace._worst import Term, Worst, attempts_per_call, needs, rounds, timeouts_of, worst_cases
from tailrace.cli._output import WIDTH
from tailrace.cli.explain.admission import admission_lines
from tailrace.cli.explain.limits import body_max, effective, queue_of
from tailrace.quantities import duration_text, percentile_text, share_text

Part = dict[str, Any]
Row = tuple[str, str, str, str, str, str]


def render(target: str, blueprint: dict[str, Any]) -> str:
    """The whole page."""
    views, upstreams = blueprint["views"], blueprint["upstreams"]
    lines = [
        f"{blueprint['service']}   {_count(len(views), 'view')}, "
        f"{_count(len(upstreams), 'upstream')}   {target}"
    ]
    timeouts = timeouts_of(blueprint)
    found = check_tail(blueprint)
    for view, worst in zip(views, worst_cases(blueprint), strict=True):
        lines += ["", *_view(view, worst, timeouts)]
        lines += _findings(view, [one for one in found if one.view == view["name"]])
    lines += ["", *_upstream_table(blueprint)]
    if any(attempts_per_call(row) > 1 for row in upstreams):
        lines += ["", *_attempt_table(upstreams)]
    if any(word in row for row in upstreams for word in ("breaker", "throttle", "adaptive")):
        lines += ["", *_guard_table(upstreams)]
    if any("cache" in row for row in [*upstreams, *_parts(views)]):
        lines += ["", *_cache_table(blueprint)]
    lines += ["", *admission_lines(blueprint)]
    lines += ["", "Times and counts are bounds from the declaration; nothing was measured."]
    lines += ["--origin shows where each value came from, --json the blueprint itself."]
    return "\n".join(line.rstrip() for line in lines)


def _view(view: dict[str, Any], worst: Worst, timeouts: dict[str, float]) -> Iterator[str]:
    yield f"{view['method']} {view['path']}"
    if "handler" in view:
        yield from _handler(view)
        return
    yield f"  view {view['name']}, deadline {worst.deadline_ms:g} ms, fan-out {view['fanout']}"
    yield ""
    rows = list(_tree(view, timeouts))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for branch, strength, upstream, time, asked, more in rows:
        lead = (
            f"  {branch:<{widths[0]}}  {strength:<{widths[1]}}  "
            f"{upstream:<{widths[2]}}  {time:>{widths[3]}}  "
        )
        room = WIDTH - len(lead)
        yield lead + (asked if len(asked) <= room else asked[: max(0, room - 3)] + "...")
        if more:
            bars = branch[: -len(branch.lstrip("|+`- "))].replace("+-", "| ").replace("`-", "  ")
            yield f"  {bars:<{widths[0]}}  ({more})"
    yield ""
    yield from _wrapped("stages", " then ".join(", ".join(stage) for stage in worst.stages))
    yield from _wrapped("worst time", _time(worst))
    yield from _wrapped("worst calls", _calls(worst))
    yield from _wrapped("attempts", _attempts(view, worst))
    if "computed" in view:
        yield from _wrapped("computed", _computed(view))
    made = view.get("computed", {}).get("fields", [])
    optional = [one["name"] for one in [*view["parts"], *made] if one["strength"] == "weak"]
    if optional:
        yield from _wrapped("degrades", f"{', '.join(optional)}: missing rather than late")


def _computed(view: dict[str, Any]) -> str:
    """What Python makes of the parts: one entry of the interpreter per request."""
    computed = view["computed"]
    names = ", ".join(f"{one['name']} ({one['strength']})" for one in computed["fields"])
    return (
        f"{names}: by Python, in one entry per request, {computed['time_ms']:g} ms kept for it; "
        f"{computed['limit']} requests at once at most"
    )


def _handler(view: dict[str, Any]) -> Iterator[str]:
    """A handler's calls are made by its code: only their bounds are known."""
    deadline, fanout = view["deadline_ms"], view["fanout"]
    yield f"  handler {view['name']}, deadline {deadline:g} ms, fan-out {fanout}"
    yield ""
    yield from _wrapped("Python", f"{view['handler']['limit']} requests in it at once at most")
    extra = view["extra_attempts"]
    text = f"made by its code; at most {extra} retries and hedges for all calls of a request"
    yield from _wrapped("calls", text)


def _findings(view: dict[str, Any], found: list[Finding]) -> Iterator[str]:
    """What does not fit: allowed with its reason, or only warned about."""
    for one in found:
        title = "allowed" if one.verdict == "allowed" else "warning"
        yield from _wrapped(title, one.message.replace("`", ""))
    if reason := view.get("allow_overcommit"):
        yield from _wrapped("because", reason)


def _tree(view: dict[str, Any], timeouts: dict[str, float]) -> Iterator[Row]:
    """Rows of branch, strength, upstream, time, what is asked and under which condition."""
    parts: list[Part] = view["parts"]
    depth: dict[str, int] = {}
    below: dict[str, list[Part]] = {"": []}
    for part in _by_stage(parts):
        parents = sorted(needs(part), key=lambda name: depth[name])
        parent = parents[-1] if parents else ""
        depth[part["name"]] = depth.get(parent, 0) + 1
        below.setdefault(parent, []).append(part)

    def walk(parent: str, lead: str) -> Iterator[Row]:
        children = below.get(parent, [])
        for index, part in enumerate(children):
            last = index == len(children) - 1
            yield _row(part, lead + ("`- " if last else "+- "), parent, view["fanout"], timeouts)
            yield from walk(part["name"], lead + ("   " if last else "|  "))

    yield from walk("", "")


def _by_stage(parts: list[Part]) -> list[Part]:
    """Parts so that each stands after all it waits for, else as declared."""
    placed: list[Part] = []
    names: set[str] = set()
    waiting = list(parts)
    while waiting:
        part = next(one for one in waiting if needs(one) <= names)
        placed.append(part)
        names.add(part["name"])
        waiting.remove(part)
    return placed


def _row(part: Part, branch: str, parent: str, fanout: int, timeouts: dict[str, float]) -> Row:
    more = []
    each = part.get("each")
    if each:
        source = ".".join([each["part"], *each["field"]])
        turns = rounds(part, fanout)
        slower = f", {turns} rounds of {fanout}" if turns > 1 else ""
        more.append(f"for each of {source}, at most {each['items_max']}{slower}")
    others = sorted(needs(part) - {parent})
    if others:
        more.append(f"also after {', '.join(others)}")
    other = part.get("otherwise")
    if other:
        more.append(f"otherwise {other['upstream']} GET {template(other['path'])}")
    timeout = float(part.get("timeout_ms", timeouts[part["upstream"]]))
    asked = f"{part['method']} {template(part['path'])}"
    time = f"{timeout:g} ms"
    return branch + part["name"], part["strength"], part["upstream"], time, asked, "; ".join(more)


def template(pieces: list[dict[str, Any]]) -> str:
    """A compiled template as it was written."""
    text = ""
    for piece in pieces:
        if "text" in piece:
            text += piece["text"]
        elif "parameter" in piece:
            text += f"{{{piece['parameter']}}}"
        elif "item" in piece:
            text += f"{{{'.'.join(['item', *piece['item']])}}}"
        else:
            text += f"{{{'.'.join([piece['part']['name'], *piece['part']['field']])}}}"
    return text


def _time(worst: Worst) -> str:
    terms = [_term(one) for one in worst.strong_terms]
    if not terms:
        return f"no strong part; the reply goes out at {worst.deadline_ms:g} ms at the latest"
    if worst.computed_ms:
        terms.append(f"computed fields {worst.computed_ms:g}")
    shown = " + ".join(terms)
    summed = " x " in shown or " + " in shown
    longest = worst.strong_ms + worst.computed_ms
    total = f" = {longest:g} ms" if summed else " ms"
    if worst.over_ms:
        return (
            f"{shown}{total}, {worst.over_ms:g} ms over the deadline of {worst.deadline_ms:g} ms:"
            " the request would end with 504 first"
        )
    left = worst.deadline_ms - longest
    return f"{shown}{total} of {worst.deadline_ms:g} ms, {left:g} ms to spare"


def _term(term: Term) -> str:
    turns = f" x {term.rounds}" if term.rounds > 1 else ""
    other = f" + its stand-in {term.other_ms:g}" if term.other_ms else ""
    return f"{term.part} {term.timeout_ms:g}{turns}{other}"


def _calls(worst: Worst) -> str:
    per = ", ".join(f"{name} {count}" for name, count in worst.calls_by_upstream.items())
    flying = max(worst.in_flight_by_upstream.values(), default=0)
    return (
        f"{_count(worst.calls_max, 'call')} per request ({per}); to one upstream at most "
        f"{flying} at a time"
    )


def _attempts(view: dict[str, Any], worst: Worst) -> str:
    extra = worst.attempts_max - worst.calls_max
    if not extra:
        return "each call is sent once: no retries, no hedges"
    purse = view["extra_attempts"]
    bound = f" (extra_attempts {purse})" if extra == purse else ""
    return (
        f"{worst.attempts_max} at most: {worst.calls_max} calls, {extra} retries or hedges{bound}"
    )


def _attempt_table(upstreams: list[dict[str, Any]]) -> Iterator[str]:
    """Retries and hedges of each upstream; a dash is off."""
    head = ("attempts", "backoff", "budget", "min/s", "hedge after", "extra", "delay min")
    rows = [("upstream", *head)]
    for row in upstreams:
        retry, hedge = row.get("retry"), row.get("hedge")
        tries = ["-"] * 4
        if retry:
            tries = [
                str(retry["attempts"]),
                f"{retry['backoff_ms']:g}-{retry['backoff_max_ms']:g} ms",
                share_text(retry["budget"]),
                str(retry["budget_min"]),
            ]
        races = ["-"] * 3
        if hedge:
            races = [
                percentile_text(hedge["after"]),
                share_text(hedge["extra"]),
                f"{hedge['delay_min_ms']:g} ms",
            ]
        rows.append((row["name"], *tries, *races))
    return _aligned(rows)


def _guard_table(upstreams: list[dict[str, Any]]) -> Iterator[str]:
    """When each upstream, or one of its addresses, is asked less; a dash is off."""
    head = ("in a row", "success", "slow", "out for", "throttle", "at most", "in flight")
    rows = [("upstream", *head)]
    for row in upstreams:
        breaker, throttle, adaptive = (row.get(w) for w in ("breaker", "throttle", "adaptive"))
        ejects = ["-"] * 4
        if breaker:
            slow = breaker.get("slow_ms")
            ejects = [
                str(breaker["consecutive"]),
                f"<{share_text(breaker['success_min'])}",
                "-" if slow is None else duration_text(slow),
                f"{duration_text(breaker['open_ms'])}-{duration_text(breaker['open_max_ms'])}",
            ]
        refuses = ["-"] * 2
        if throttle:
            refuses = [f"x{throttle['factor']:g}", share_text(throttle["reject_max"])]
        moves = f"{adaptive['min']}-{row['bulkhead']['limit']}" if adaptive else "-"
        rows.append((row["name"], *ejects, *refuses, moves))
    return _aligned(rows)


def _parts(views: list[dict[str, Any]]) -> list[Part]:
    return [part for view in views for part in view["parts"]]


def _cache_table(blueprint: dict[str, Any]) -> Iterator[str]:
    """How long answers are kept for what, by upstream, and by part where that says otherwise."""
    head = ("fresh for", "then stale", "if it fails", "404 and 410", "entries")
    rows = [("cache", *head)]
    named = [(row["name"], row) for row in blueprint["upstreams"]]
    for view in blueprint["views"]:
        named += [(f"{view['name']}.{part['name']}", part) for part in view["parts"]]
    for name, row in named:
        cache = row.get("cache")
        if cache is None:
            continue
        ttl = cache["ttl_ms"]
        stale = cache.get("stale_ms", ttl)
        failed = cache.get("stale_if_error_ms", max(10 * ttl, stale))
        negative = cache.get("negative_ms", min(5_000.0, ttl / 4))
        times = (duration_text(time) if time else "-" for time in (ttl, stale, failed, negative))
        rows.append((name, *times, "per caller" if cache.get("per_identity") else "shared"))
    return _aligned(rows)


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Names to the left, cells to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for name, *cells in rows:
        numbers = "  ".join(f"{cell:>{widths[n + 1]}}" for n, cell in enumerate(cells))
        line = f"{name:<{widths[0]}}  {numbers}"
        yield line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."


def _upstream_table(blueprint: dict[str, Any]) -> Iterator[str]:
    limits = effective(blueprint)["limits"]
    head = ("upstream", "timeout", "bulkhead", "queue", "body max", "address")
    rows = [
        (
            row["name"],
            f"{row['timeout_ms']:g} ms",
            str(row["bulkhead"]["limit"]),
            str(queue_of(row["bulkhead"])),
            body_max(row, limits),
            row["addresses"][0]
            + (f" and {len(row['addresses']) - 1} more" if len(row["addresses"]) > 1 else ""),
        )
        for row in blueprint["upstreams"]
    ]
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(5)]
    for row in [head, *rows]:
        numbers = "  ".join(f"{cell:>{widths[n + 1]}}" for n, cell in enumerate(row[1:5]))
        line = f"{row[0]:<{widths[0]}}  {numbers}  {row[5]}"
        yield line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."
    for row in blueprint["upstreams"]:
        if row["forward_headers"]:
            yield from _wrapped(row["name"], f"gets headers: {', '.join(row['forward_headers'])}")


def _wrapped(title: str, text: str) -> list[str]:
    lead = f"  {title:<12} "
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=lead,
        subsequent_indent=" " * len(lead),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
