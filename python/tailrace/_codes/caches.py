"""Caches and the calls that stand in.

The failure prevented: answers that are kept for nothing, for too long, or for somebody else.
"""

from __future__ import annotations

from typing import Final

from tailrace._codes.page import CodeDoc

PAGES: Final[dict[str, CodeDoc]] = {
    "TR034": CodeDoc(
        title="A cache cannot work like this",
        what=(
            "A time of a cache is out of range, `stale_if_error` is below `stale`, `negative` is "
            "above `ttl`, there is no `ttl`, or the call is no GET."
        ),
        why_bad="It would keep nothing, or something for a time that nobody meant.",
        fix="`ttl` from 1us to 24h; the other times from 0s, or left out.",
        example='cache=Cache(ttl="2s", stale="30s", stale_if_error="5m")',
    ),
    "TR035": CodeDoc(
        title="A cache does not say that it keeps callers apart",
        what=(
            "Calls carry something of the caller (a forwarded header, a header with a value, a "
            "header parameter), and their answers are cached."
        ),
        why_bad=(
            "An answer made for one user must never reach another. The value is part of every "
            "key, so there is an entry per caller: many, seldom asked for twice."
        ),
        fix="Say that it is meant with `per_identity=True`, or do not send it.",
        example='forward_headers=["authorization"], cache=Cache(ttl="2s", per_identity=True)',
    ),
    "TR036": CodeDoc(
        title="A call cannot stand in for a part",
        what="`otherwise` is no GET, asks the same upstream again, or the part has `each`.",
        why_bad="Asking an upstream that has just failed again is a retry that no budget knows.",
        fix="Give it a call of another upstream that answers in the same shape.",
        example='weak(users.get("/users/{id}"), otherwise=spare.get("/users/{id}"))',
    ),
}
