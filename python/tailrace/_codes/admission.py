"""Admission: rates, clients, priorities, thresholds of overload.

The failure prevented: a protection that refuses everybody, or nobody.
"""

from __future__ import annotations

from typing import Final

from tailrace._codes.page import CodeDoc

PAGES: Final[dict[str, CodeDoc]] = {
    "TR090": CodeDoc(
        title="A rate cannot be this",
        what="A rate is no number of requests a second in range, or its burst is none.",
        why_bad="A rate of 0 refuses everybody; a burst of days limits nobody.",
        fix="Give requests a second, and where wanted how many at once.",
        example="rate=Rate(100, burst=200)",
    ),
    "TR091": CodeDoc(
        title="A client or a trusted network cannot be this",
        what=(
            "`client` is neither the address nor a header, a trusted network cannot be read, or a "
            "header is to name the client and nobody is trusted to say it."
        ),
        why_bad="Who may write his own name has as many rates as he likes.",
        fix="Name the networks of the proxies that set the header.",
        example='Admission(client="header:x-tenant", trusted=["10.0.0.0/8"])',
    ),
    "TR092": CodeDoc(
        title="This is no priority",
        what="A priority is none of the four, or belongs to a client that cannot exist.",
        why_bad="Under overload the request would be treated as another.",
        fix="Use one of the four words.",
        example='@service.view("/report/{id}", priority="sheddable")',
    ),
    "TR093": CodeDoc(
        title="A limit of admission cannot be this",
        what=(
            "`calls_max`, `clients_max`, `Shed` or `Feasibility` have a value out of range, or a "
            "view needs more calls than all requests together may."
        ),
        why_bad="The service would refuse everybody, or nobody.",
        fix="Use a value in range; the defaults are meant to be kept.",
        example='Admission(calls_max=8192, shed=Shed(delay="5ms", cpu="95%"))',
    ),
    "TR094": CodeDoc(
        title="Parts cannot be left out in this order",
        what="The thresholds of a brownout contradict each other, or a `drop` is no place.",
        why_bad="Parts would never come back, or the last would go before the first.",
        fix="`start` at most `full`, `band` below `start`, places from 1.",
        example='weak(..., drop=1)\nAdmission(brownout=Brownout(start="85%", full="97%"))',
    ),
}
