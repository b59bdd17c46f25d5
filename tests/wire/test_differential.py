"""h11 and llhttp beside a live plane: what it accepts, they accept alike (RELIABILITY S01, S02).

Prevents a request that the plane serves and a proxy in front of it would have read otherwise: the
stuff of smuggling. Each row goes over a real socket with one more request behind it, and the plane
must answer, and send to its upstream, what the other readers see in the same bytes. What only the
plane refuses is counted by code; `docs/reference/leniency.md` publishes the counts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

import pytest
import rows
from live import VIEWS, Live, Reply
from rows import Row

pytest.importorskip("h11", reason="h11 is not installed")
pytest.importorskip("httptools", reason="httptools (llhttp) is not installed")

import readers
from readers import Message

pytestmark = [pytest.mark.wire, pytest.mark.timeout(240)]

APPENDED: Final = b"GET /appended HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
REQUESTS: Final = {"h11": readers.h11_requests, "llhttp": readers.llhttp_requests}
ANSWERS: Final = {"h11": readers.h11_answer, "llhttp": readers.llhttp_answer}
# Rows the plane accepts and a reader does not, or frames differently; each with the reason.
KNOWN_METHODS: Final = "llhttp refuses a method it does not know; any token is one (RFC 9110 9.1)"
DIFFERENT: Final = {
    "h11": {
        "http10_keep_alive": "h11 closes after every HTTP/1.0 request, whatever Connection says",
    },
    "llhttp": {
        "lowercase_method_is_another": KNOWN_METHODS,
        "odd_token_method": KNOWN_METHODS,
        "method_at_limit": KNOWN_METHODS,
        # The request behind these is cut into: its method becomes `GEGET`, and `T`.
        "unfinished_method": KNOWN_METHODS,
        "cl_short_body": KNOWN_METHODS,
        "http10_both": "llhttp reads on after `keep-alive, close` in HTTP/1.0; ours closes",
    },
}


@dataclass
class Played:
    """What the plane made of a row and the request behind it."""

    row: Row
    replies: list[Reply]
    reached: list[str]

    def accepted(self, refusals: set[str]) -> list[Reply]:
        """The replies to requests it took; a refusal, or a 408, is the last thing it says."""
        ends = refusals | {"head_timeout", "body_timeout"}
        for reply in self.replies[:-1]:
            assert reply.code not in ends, f"{self.row.name}: a reply after {reply}"
        return [reply for reply in self.replies if reply.code not in ends]

    def refusal(self, refusals: set[str]) -> str | None:
        last = self.replies[-1].code if self.replies else ""
        return last if last in refusals else None


@pytest.fixture(scope="module")
def played(plane: Live) -> list[Played]:
    """Every request row, one after the other, so that what reaches the upstream has one cause."""
    found = []
    for row in rows.requests():
        replies = plane.play(row.data + APPENDED)
        found.append(Played(row, replies, plane.upstream.taken()))
    return found


def served(message: Message) -> bool:
    """Whether a view of the plane answers this request, with a call of its own."""
    return message.method in ("GET", "HEAD") and message.path in VIEWS


def status_of(message: Message) -> set[int]:
    """What the plane may answer to a request it understood as this one."""
    if served(message):
        return {200}
    if message.path in VIEWS:
        return {204 if message.method == "OPTIONS" else 405}
    return {400, 404, 405}


def difference(one: Played, refusals: set[str], theirs: list[Message]) -> str | None:
    """Why this reader's account of the bytes contradicts what the plane did; None when not."""
    accepted = one.accepted(refusals)
    if len(theirs) < len(accepted):
        return f"the plane served {len(accepted)} requests, it sees {len(theirs)}"
    for reply, message in zip(accepted, theirs, strict=False):
        if reply.status not in status_of(message):
            return f"{message.start} was answered {reply.status}"
    calls = [message.path for message in theirs[: len(accepted)] if served(message)]
    if calls != one.reached:
        return f"{one.reached} reached the upstream, it sees {calls}"
    if len(theirs) > len(accepted) and one.refusal(refusals) is None:
        return f"the plane stopped without refusing, it goes on with {theirs[len(accepted)]}"
    return None


@pytest.mark.parametrize("reader", sorted(REQUESTS))
def test_what_the_plane_accepts_is_read_alike(
    reader: str, plane: Live, played: list[Played]
) -> None:
    differences = {}
    agreed = 0
    for one in played:
        theirs = REQUESTS[reader](one.row.data + APPENDED)
        why = difference(one, plane.refusals, theirs)
        if why is not None:
            differences[one.row.name] = why
        agreed += why is None and bool(one.accepted(plane.refusals))
    print(f"{reader}: {len(played)} request rows, {agreed} accepted alike, {differences}")
    assert agreed >= 60
    assert differences.keys() == DIFFERENT[reader].keys(), differences


def test_no_canary_reaches_the_upstream(plane: Live, played: list[Played]) -> None:
    """Nor does a row get more replies than it has requests, its own and the one behind it."""
    assert len(played) >= 160
    for one in played:
        assert "/canary" not in one.reached, one
        assert len(one.replies) <= 2, one
        assert one.row.refusal in (None, one.refusal(plane.refusals)), one


@pytest.mark.parametrize("reader", sorted(ANSWERS))
def test_answers_that_are_accepted_are_read_alike(reader: str) -> None:
    """The expectations of the response corpus are the codec's own: `tests/h1` holds them to it."""
    differences = {}
    for row in answer_rows(reader):
        words = row.expected.split()
        theirs = ANSWERS[reader](row.data, row.asked)
        if words[0] == "ok":
            wanted = row.expected.partition(" body=")
            alike = [message.start for message in theirs] == [words[1]]
            if wanted[1]:
                alike &= [message.body for message in theirs] == [wanted[2].encode()]
        else:
            alike = row.refusal is not None or not theirs
        if not alike:
            differences[row.name] = (row.expected, theirs)
    assert not differences


@pytest.mark.parametrize("reader", sorted(REQUESTS))
def test_what_only_ours_refuses_is_published(
    reader: str, plane: Live, played: list[Played]
) -> None:
    alone: Counter[str] = Counter()
    for one in played:
        # By its own bytes: what the request behind it turns them into says nothing about the row.
        code = one.refusal(plane.refusals)
        if code is not None and one.row.refusal and REQUESTS[reader](one.row.data):
            alone[code] += 1
    requests = alone.total()
    for row in answer_rows(reader):
        if row.refusal and ANSWERS[reader](row.data, row.asked):
            alone[row.refusal] += 1
    print(
        f"{reader}: {requests} requests and {alone.total() - requests} answers ours alone refuses"
    )
    said = rows.published()[reader]
    assert {code: alone[code] for code in alone.keys() | said.keys()} == said


def answer_rows(reader: str) -> list[Row]:
    return [row for row in rows.responses() if reader != "llhttp" or row.asked != "HEAD"]
