"""What `tailrace profile` prints: in 80 columns, the most first, hostile names as text."""

from __future__ import annotations

from typing import Any, Final

from tailrace.cli import _profile_text

WAIT: Final[dict[str, Any]] = {
    "part": "user",
    "waits_for": "first_byte",
    "for_ms": 41.7,
    "left_ms": 18.3,
    "upstream": "users",
    "attempt": 2,
    "kind": "hedge",
    "address": 1,
}
REQUEST: Final[dict[str, Any]] = {
    "view": "order",
    "request_id": "9f0c",
    "number": 7,
    "age_ms": 96.2,
    "deadline_left_ms": -3.5,
    "parts": 5,
    "parts_done": 2,
    "waits": [
        {"part": "stock", "waits_for": "parts", "for_ms": None, "left_ms": None, "needs": ["a"]},
        {"part": "list", "waits_for": "fanout", "for_ms": 1.0, "left_ms": None, "item": 3},
        WAIT,
        {"part": None, "waits_for": "python_handler", "for_ms": None, "left_ms": 5.0},
    ],
    "waits_left_out": 2,
}
TASKS: Final[dict[str, Any]] = {
    "service": "shop",
    "workers": [
        {
            "worker": 0,
            "answered": True,
            "in_flight": 9,
            "connections": 12,
            "requests": [REQUEST],
            "requests_left_out": 8,
        },
        {
            "worker": 1,
            "answered": False,
            "why": "its thread did not come to its next turn in time",
            "in_flight": 1,
            "system": {"thread": 7, "state": "D (disk sleep)", "system_call": "17"},
        },
    ],
    "python": {"answered": False, "why": "Python did not answer within 2 s"},
}
SHOWN: Final = """\
shop: 1 requests in flight are shown

worker 0: 9 in flight, 12 connections
  order  9f0c  96.2 ms old, 3.5 ms over its deadline, 2 of 5 parts done
    stock: other parts (a)
    list[3]: the request's own cap, for 1.0 ms
    user: the first byte of users, hedge attempt 2, for 41.7 ms, 18.3 ms at most
    the request: its handler in Python, 5.0 ms at most
    and 2 more waits
  and 8 younger requests

worker 1: did not answer: its thread did not come to its next turn in time
  thread: 7
  state: D (disk sleep)
  system call: 17

python: Python did not answer within 2 s
"""


def shown(lines: Any) -> str:
    text = "\n".join(lines) + "\n"
    assert max(map(len, text.splitlines())) <= 80
    return text


def test_tasks_are_told_in_words() -> None:
    assert shown(_profile_text.tasks(TASKS)) == SHOWN


def test_every_wait_has_words() -> None:
    """The codes are the plane's: one that is added there needs its words here."""
    from pathlib import Path

    source = Path(__file__).parents[2] / "crates/tailrace-plane/src/profile/survey.rs"
    arms = source.read_text().split("pub fn code(self)")[1].split("\n    }\n")[0]
    codes = [line.split('"')[1] for line in arms.splitlines() if '=> "' in line]
    assert len(codes) == 14
    assert sorted(codes) == sorted(_profile_text.WORDS)


# RELIABILITY S21: a name is text, whatever is in it, and long ones are cut.
def test_a_hostile_name_moves_nothing() -> None:
    name = "\x1b[2J\u202eevil\n" + "x" * 200
    request = {**REQUEST, "view": name, "request_id": name, "waits": [{**WAIT, "part": name}]}
    worker = {**TASKS["workers"][0], "requests": [request]}
    task = {"name": name, "request_id": name, "awaits": "Future", "stack": [name]}
    thread = {"name": name, "thread": 1, "stack": [name]}
    python = {"answered": True, "tasks": [task], "tasks_left_out": 1, "threads": [thread]}
    text = shown(_profile_text.tasks({**TASKS, "workers": [worker], "python": python}))
    assert "\x1b" not in text and "\u202e" not in text
    assert "and 1 more" in text


def test_functions_are_ranked_by_their_own_time() -> None:
    stacks = [
        {"frames": ["native", "worker 0", "main", "parse"], "us": 700_000},
        {"frames": ["native", "worker 0", "main"], "us": 200_000},
        {"frames": ["native", "worker 0", "main", "main"], "us": 100_000},
    ]
    native = {
        "hz": 99,
        "seconds": 2.0,
        "threads": [{"name": "worker 0", "samples": 99, "lost": 3}],
        "stacks": stacks,
        "stacks_cut": 4,
        "notes": ["a note"],
    }
    python = {"answered": False, "why": "nothing of this service runs in Python"}
    text = shown(_profile_text.cpu({"native": native, "python": python}))
    assert text.startswith("worker 0: 50% of a core, 3 samples lost\n")
    rows = [line for line in text.splitlines() if line.endswith((" parse", " main"))]
    assert [row.split() for row in rows] == [
        ["700", "ms", "700", "ms", "parse"],
        ["300", "ms", "1,000", "ms", "main"],
    ]
    assert "4 stacks were longer" in text and "a note" in text
    refused = {"answered": False, "why": "the kernel refuses timers"}
    text = shown(_profile_text.cpu({"native": refused, "python": python}))
    assert text.startswith("native: the kernel refuses timers\n")


def test_memory_adds_up_workers_and_shows_bounds() -> None:
    owner = {"owner": "receipts", "count": 10, "bytes": 3 << 20, "bytes_max": 8 << 20}
    told = {
        "service": "shop",
        "process": {
            "resident_bytes": 50 << 20,
            "resident_peak_bytes": 2 << 30,
            "anonymous_bytes": None,
        },
        "allocators": [{"name": "mimalloc", "committed_bytes": 9 << 20}],
        "owners": [{**owner, "worker": 0}, {**owner, "worker": 1}],
        "not_accounted_bytes": 1023,
        "tracking": "Rust allocations are not tracked by place of code",
        "workers_without_answer": ["worker 1"],
        "python": {
            "answered": True,
            "allocated_blocks": 12_345,
            "traced": True,
            "seconds": 2.0,
            "traced_bytes": 4096,
            "traced_peak_bytes": 8192,
            "cost": {"tracing_bytes": 100, "counting_ms": 3.0, "why": "slower"},
            "places": [{"bytes": 4096, "count": 2, "place": "shop/service.py:7"}],
        },
    }
    text = shown(_profile_text.heap(told))
    assert "shop: 50.0 MiB resident, 2.00 GiB at its peak, ? of it" in text
    assert "receipts                            20      6.0 MiB     16.0 MiB" in text
    assert "not accounted for" in text and "1023 B" in text
    assert "without an answer: worker 1" in text
    assert "4.0 KiB         2  shop/service.py:7" in text
