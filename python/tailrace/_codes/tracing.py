"""Tracing.

The failure prevented: traces that go nowhere, or a token that stands in a file.
"""

from __future__ import annotations

from typing import Final

from tailrace._codes.page import CodeDoc

PAGES: Final[dict[str, CodeDoc]] = {
    "TR160": CodeDoc(
        title="Tracing cannot be this",
        what=(
            "The endpoint is no `http://` address, another protocol is asked for, a limit is out "
            "of range, or what should name a variable does not."
        ),
        why_bad="Nobody notices that traces go nowhere before one is needed.",
        fix="Name the HTTP port of an OpenTelemetry collector; keep its token in a variable.",
        example='Service(..., tracing=Tracing(endpoint="http://collector:4318"))',
    ),
}
