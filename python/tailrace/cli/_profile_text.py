"""Profiles as text for a terminal of 80 columns.

The failure prevented: a dump that nobody can read while it burns. What is most is first, what was
left out is counted, and what could not be seen is said. Names of code and requests are cut and
printed without control characters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

from tailrace.cli import _output
from tailrace.cli._figures import duration, plain

Told: TypeAlias = dict[str, Any]
ROWS: Final = 20
WORDS: Final = {
    "parts": "other parts",
    "fanout": "the request's own cap",
    "bulkhead": "a place in the bulkhead",
    "connect": "a connection",
    "write": "the peer to read",
    "first_byte": "the first byte",
    "body": "the rest of the body",
    "large_bodies": "its turn among large bodies",
    "retry_pause": "the pause before a retry",
    "hedge_timer": "the moment for a hedge",
    "shared_fetch": "a shared fetch",
    "start": "its turn",
    "python_handler": "its handler in Python",
    "computed_fields": "its computed fields in Python",
}


def tasks(told: Told) -> Iterator[str]:
    """Every request in flight and what it waits for, the oldest first."""
    requests = sum(len(one.get("requests", ())) for one in told["workers"])
    yield f"{plain(told['service'])}: {requests} requests in flight are shown"
    for worker in told["workers"]:
        yield ""
        yield from _worker(worker)
    yield ""
    yield from _python_tasks(told["python"])


def _worker(worker: Told) -> Iterator[str]:
    name = f"worker {worker['worker']}"
    if not worker["answered"]:
        yield f"{name}: did not answer: {worker['why']}"
        for what, value in (worker["system"] or {}).items():
            yield _cut(f"  {what.replace('_', ' ')}: {value}")
        return
    yield f"{name}: {worker['in_flight']} in flight, {worker['connections']} connections"
    for request in worker["requests"]:
        yield from _request(request)
    if worker["requests_left_out"]:
        yield f"  and {worker['requests_left_out']} younger requests"


def _request(request: Told) -> Iterator[str]:
    left = request["deadline_left_ms"]
    rest = f"{duration(left)} left" if left >= 0 else f"{duration(-left)} over its deadline"
    done = f", {request['parts_done']} of {request['parts']} parts done"
    yield _cut(
        f"  {plain(request['view'] or '?')}  {plain(request['request_id'])}  "
        f"{duration(request['age_ms'])} old, {rest}{done if request['parts'] else ''}"
    )
    for wait in request["waits"]:
        yield _cut(f"    {_wait(wait)}")
    if request["waits_left_out"]:
        yield f"    and {request['waits_left_out']} more waits"


def _wait(wait: Told) -> str:
    name = plain(wait["part"] or "the request")
    if "item" in wait:
        name += f"[{wait['item']}]"
    text = f"{name}: {WORDS.get(wait['waits_for'], wait['waits_for'])}"
    if wait.get("needs"):
        text += f" ({', '.join(plain(one) for one in wait['needs'])})"
    if wait.get("upstream"):
        text += f" of {plain(wait['upstream'])}"
    if wait.get("attempt"):
        text += f", {wait['kind']} attempt {wait['attempt']}"
    if wait["for_ms"] is not None:
        text += f", for {duration(wait['for_ms'])}"
    if wait["left_ms"] is not None:
        text += f", {duration(max(0.0, wait['left_ms']))} at most"
    return text


def _python_tasks(python: Told) -> Iterator[str]:
    if not python["answered"]:
        yield from _wrapped(f"python: {python['why']}")
        return
    yield f"python: {len(python['tasks'])} tasks of handlers"
    for task in python["tasks"]:
        request = f"  {plain(task['request_id'])}" if task["request_id"] else ""
        awaits = f", awaits {task['awaits']}" if task["awaits"] else ""
        yield _cut(f"  {plain(task['name'])}{request}{awaits}")
        for frame in task["stack"]:
            yield _cut(f"    {plain(frame)}")
    if python["tasks_left_out"]:
        yield f"  and {python['tasks_left_out']} more"
    for thread in python["threads"]:
        where = thread["stack"][-1] if thread["stack"] else "?"
        yield _cut(f"  thread {plain(thread['name'])}: {plain(where)}")


def heap(told: Told) -> Iterator[str]:
    """Who holds memory, the most first."""
    process = told["process"]
    resident = process["resident_bytes"]
    peak = process["resident_peak_bytes"]
    yield (
        f"{plain(told['service'])}: {_bytes(resident)} resident, {_bytes(peak)} at its peak, "
        f"{_bytes(process['anonymous_bytes'])} of it no file's"
    )
    for one in told["allocators"]:
        figures = ", ".join(
            f"{name.removesuffix('_bytes').replace('_', ' ')} {_bytes(value)}"
            for name, value in one.items()
            if name.endswith("_bytes")
        )
        yield from _wrapped(f"{one['name']}: {figures}")
    yield ""
    yield f"{'owner':<28} {'count':>9} {'bytes':>12} {'at most':>12}"
    for owner in sorted(_owners(told["owners"]), key=lambda one: -one["bytes"]):
        most = "" if owner["bytes_max"] is None else _bytes(owner["bytes_max"])
        name = owner["owner"].replace("_", " ")
        yield f"{name:<28} {owner['count']:>9,} {_bytes(owner['bytes']):>12} {most:>12}"
    rest = told["not_accounted_bytes"]
    if rest is not None:
        yield f"{'not accounted for':<28} {'':>9} {_bytes(rest):>12}"
    yield ""
    yield from _wrapped(told["tracking"])
    if told["workers_without_answer"]:
        yield f"without an answer: {', '.join(told['workers_without_answer'])}"
    yield from _python_heap(told["python"])


def _owners(owners: Iterable[Told]) -> list[Told]:
    """All workers' together."""
    sums: dict[str, Told] = {}
    for one in owners:
        known = sums.setdefault(
            one["owner"], {"owner": one["owner"], "count": 0, "bytes": 0, "bytes_max": None}
        )
        known["count"] += one["count"]
        known["bytes"] += one["bytes"]
        if one["bytes_max"] is not None:
            known["bytes_max"] = (known["bytes_max"] or 0) + one["bytes_max"]
    return list(sums.values())


def _python_heap(python: Told) -> Iterator[str]:
    yield ""
    if not python["answered"]:
        yield from _wrapped(f"python: {python['why']}")
        return
    yield f"python: {python['allocated_blocks']:,} blocks allocated"
    if not python["traced"]:
        yield from _wrapped(python.get("why", "its allocations are traced with --python N"))
        return
    cost = python["cost"]
    yield from _wrapped(
        f"traced for {python['seconds']:.1f} s: {_bytes(python['traced_bytes'])} of what was "
        f"allocated meanwhile is held, {_bytes(python['traced_peak_bytes'])} at most; tracing took "
        f"{_bytes(cost['tracing_bytes'])} and {duration(cost['counting_ms'])} to count; "
        f"{cost['why']}"
    )
    for place in python["places"]:
        yield _cut(f"{_bytes(place['bytes']):>12} {place['count']:>9,}  {plain(place['place'])}")


def cpu(told: Told) -> Iterator[str]:
    """The functions that take most processor time, natively and in Python."""
    native, python = told["native"], told["python"]
    if "stacks" not in native:
        yield from _wrapped(f"native: {native['why']}")
    else:
        lasted = native["seconds"]
        for thread in native["threads"]:
            busy = thread["samples"] / native["hz"]
            lost = f", {thread['lost']} samples lost" if thread["lost"] else ""
            yield f"{thread['name']}: {busy / lasted:.0%} of a core{lost}"
        yield ""
        yield from _functions("native", native["stacks"], 2)
        yield from _left_out(native)
    yield ""
    if not python["answered"]:
        yield from _wrapped(f"python: {python['why']}")
        return
    yield from _functions("python", python["stacks"], 1)
    yield f"sampling Python took {duration(python['cost_ms'])} of processor time"
    for note in python["notes"]:
        yield from _wrapped(note)


def _left_out(native: Told) -> Iterator[str]:
    if native["stacks_cut"]:
        yield f"{native['stacks_cut']} stacks were longer than what is copied of them"
    for note in native["notes"]:
        yield from _wrapped(note)


def _functions(title: str, stacks: list[Told], roots: int) -> Iterator[str]:
    """Own time: at the top of a stack; total: anywhere on it. The roots are no functions."""
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for stack in stacks:
        frames = stack["frames"][roots:]
        if frames:
            own[frames[-1]] += stack["us"]
        for frame in set(frames):
            total[frame] += stack["us"]
    whole = sum(stack["us"] for stack in stacks)
    yield f"{'own':>9} {'total':>9}  {title}, of {duration(whole / 1e3)} of processor time"
    ranked = sorted(total, key=lambda name: (-own[name], -total[name], name))
    for name in ranked[:ROWS]:
        yield _cut(f"{_ms(own[name]):>9} {_ms(total[name]):>9}  {plain(name)}")
    if len(ranked) > ROWS:
        yield f"{'':>21}and {len(ranked) - ROWS} more; -o FILE has all"


def _ms(us: int) -> str:
    return f"{us / 1e3:,.0f} ms"


def _bytes(count: int | None) -> str:
    if count is None:
        return "?"
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.2f} GiB"


def _cut(text: str) -> str:
    return text if len(text) <= _output.WIDTH else text[: _output.WIDTH - 3] + "..."


def _wrapped(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, _output.WIDTH, subsequent_indent="  ")
