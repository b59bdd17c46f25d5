"""What a fake upstream may do with a request: answer, answer badly, or not at all.

The failure prevented: a test double that can only fail politely. Upstreams hang, reset, stop half
way and send HTML; each of these is one word here, with the reason that the part of a declared view
then ends with (`docs/reference/reasons.md`), so that a test can name both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any, Literal

from tailrace.quantities import duration_ms
from tailrace.typing import Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer; made by the functions below."""

    name: str
    reason: str | None = None
    """Why a part with this answer is missing; None when it is not."""
    status: int = 200
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_ms: float = 0.0
    ending: Literal["whole", "short", "reset", "never"] = "whole"


@dataclass(frozen=True, slots=True)
class Slow:
    """A fault that delays whatever the route answers."""

    delay_ms: float
    name: str = "slow"
    reason: str | None = None


def ok(
    data: object, *, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> Answer:
    """`data` as JSON: plain data, or a pydantic model or dataclass under its aliases."""
    body = _json(data)
    told = {"content-type": "application/json", **(headers or {})}
    name = f"ok-{status:d}"
    return Answer(name=name, reason=_reason(status), status=status, body=body, headers=told)


def status(code: int, data: object = None, *, headers: Mapping[str, str] | None = None) -> Answer:
    """A status, with `data` as JSON when it is given."""
    if data is None:
        return Answer(
            name=f"status-{code}", reason=_reason(code), status=code, headers=dict(headers or {})
        )
    return replace(ok(data, status=code, headers=headers), name=f"status-{code}")


def empty() -> Answer:
    """204: there is nothing, and that is no failure."""
    return Answer(name="empty", status=HTTPStatus.NO_CONTENT)


def html(text: str = "<h1>It works</h1>") -> Answer:
    """200 with HTML where JSON was due, as a proxy or a login page answers."""
    told = {"content-type": "text/html; charset=utf-8"}
    return Answer(name="html", reason="content_type", body=text.encode(), headers=told)


def broken_json() -> Answer:
    """200 with JSON that ends in the middle."""
    told = {"content-type": "application/json"}
    return Answer(name="broken_json", reason="model_mismatch", body=b'{"id": ', headers=told)


def raw(body: bytes, *, content_type: str = "application/json", status: int = 200) -> Answer:
    """These bytes, whatever they are."""
    told = {"content-type": content_type}
    return Answer(name="raw", reason=_reason(status), status=status, body=body, headers=told)


def truncated(data: object = None) -> Answer:
    """A body shorter than its head says, then the end of the connection."""
    told = {"content-type": "application/json"}
    return Answer(name="truncated", reason="reset", body=_json(data), headers=told, ending="short")


def reset() -> Answer:
    """The request is read, then the connection is reset."""
    return Answer(name="reset", reason="reset", ending="reset")


def hang() -> Answer:
    """The request is read, and nothing comes back until the caller gives up."""
    return Answer(name="hang", reason="timeout", ending="never")


def after(delay: Duration, answer: Answer) -> Answer:
    """`answer`, but only after `delay`."""
    return replace(answer, delay_ms=duration_ms(delay), name=f"{answer.name}-late")


def slow(delay: Duration) -> Slow:
    """For `FakeUpstream.fault`: each answer comes `delay` later than it would."""
    return Slow(duration_ms(delay))


def as_answer(value: object) -> Answer:
    """An answer as it is, or data as `ok`."""
    return value if isinstance(value, Answer) else ok(value)


def _reason(code: int) -> str | None:
    named = {404: "not_found", 410: "gone"}
    kinds = {3: "redirect", 4: "client_error", 5: "server_error"}
    return named.get(code) or kinds.get(code // 100)


def _json(data: object) -> bytes:
    """Plain data by the standard library; models and dates by pydantic, when there are any."""

    def other(value: Any) -> Any:
        from pydantic_core import to_jsonable_python

        return to_jsonable_python(value, by_alias=True)

    return json.dumps(data, default=other, ensure_ascii=False, separators=(",", ":")).encode()
