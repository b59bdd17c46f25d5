"""Quantities, names, upstreams and views.

The failure prevented: a limit or an address that is wrong where it is declared.
"""

from __future__ import annotations

from typing import Final

from tailrace._codes.page import CodeDoc

PAGES: Final[dict[str, CodeDoc]] = {
    "TR001": CodeDoc(
        title="A quantity has no unit",
        what="A duration or size is a bare number.",
        why_bad="`timeout=80` is read as seconds by one and as milliseconds by another.",
        fix="Write the unit.",
        example='timeout="80ms"',
    ),
    "TR002": CodeDoc(
        title="A quantity cannot be read",
        what="The text is no number with a known unit, or not of a usable kind.",
        why_bad="A limit that was misread protects nothing.",
        fix=("Use us, ms, s, m or h for durations; B, KB, KiB, MB, MiB, GB or GiB for sizes."),
        example='timeout="1.5s", body_max="4MiB"',
    ),
    "TR003": CodeDoc(
        title="A quantity is out of range",
        what="A limit is zero, negative or too large to limit.",
        why_bad="A zero timeout fails every call; a limit of days is none.",
        fix="Use a value above zero and at most 24h or 4GiB.",
        example='deadline="150ms"',
    ),
    "TR004": CodeDoc(
        title="A name cannot be used",
        what="The name of a service, upstream or view is empty or has other characters.",
        why_bad="Names label logs and metrics and become parts of environment variables.",
        fix="A letter, then letters, digits, `-` and `_`, at most 64.",
        example='Upstream("order-db", ...)',
    ),
    "TR005": CodeDoc(
        title="Two upstreams share a name",
        what=(
            "Two different `Upstream` objects have one name (compared as environment "
            "variables are)."
        ),
        why_bad="Their bulkheads, metrics and overrides could not be told apart.",
        fix="Declare an upstream once and import it where it is used.",
        example="from app.upstreams import orders",
    ),
    "TR006": CodeDoc(
        title="Two views share a name",
        what="Two views of the service have the same name.",
        why_bad="Logs, metrics and overrides of the two could not be told apart.",
        fix="Name one of them.",
        example='@service.view("/v2/orders/{id}", name="order_v2")',
    ),
    "TR010": CodeDoc(
        title="An upstream's address is not usable",
        what="The address is not `http://host:port` with an optional base path.",
        why_bad="It would fail at the first request instead of at the start.",
        fix="Give scheme, host and port; queries and credentials belong to the call.",
        example='Upstream("orders", "http://orders:9001")',
    ),
    "TR011": CodeDoc(
        title="An upstream has no address, or one twice",
        what="The list of addresses is empty or repeats an address.",
        why_bad="Calls have nowhere to go, or one destination gets twice its share.",
        fix="List each address once.",
        example='Upstream("orders", ["http://a:9001", "http://b:9001"])',
    ),
    "TR012": CodeDoc(
        title="A header cannot be passed on",
        what=("The header belongs to one connection (hop-by-hop) or is written by the plane."),
        why_bad=(
            "Passing it on breaks the framing of the next connection: that is how requests "
            "are smuggled."
        ),
        fix="Remove it.",
        example='forward_headers=["authorization"]',
    ),
    "TR013": CodeDoc(
        title="This is no header name",
        what="The name has characters that a header name cannot have.",
        why_bad="The upstream would refuse the request or read another header.",
        fix="Letters, digits and `-`.",
        example='header("x-tenant")',
    ),
    "TR014": CodeDoc(
        title="A bulkhead cannot have this size",
        what="The limit or queue of a bulkhead is no whole number in range.",
        why_bad="A limit of 0 refuses every call; a fraction of a call does not exist.",
        fix="A limit from 1, a queue from 0.",
        example="bulkhead=Bulkhead(limit=400, queue=100)",
    ),
    "TR015": CodeDoc(
        title="A fan-out cannot have this size",
        what="The fan-out is no whole number from 1 to 65535.",
        why_bad="One request could make no call at all, or calls without a limit (req 4.2).",
        fix="Use the number of calls one request may have in flight.",
        example='Service("orders", deadline="150ms", fanout=8)',
    ),
    "TR016": CodeDoc(
        title="A retry cannot work like this",
        what=(
            "The number of attempts, the reserve or the waits of a retry are out of range, or "
            "the waits or the attempts do not fit the call's timeout."
        ),
        why_bad=(
            "The timeout covers all attempts: a retry that waits longer than that never happens, "
            "and many attempts multiply the load of an upstream in trouble (req 9.4)."
        ),
        fix="1 to 5 attempts, and 1us <= backoff <= backoff_max with backoff below the timeout.",
        example='retry=Retry(attempts=2, backoff="10ms", backoff_max="100ms")',
    ),
    "TR017": CodeDoc(
        title="A hedge cannot work like this",
        what=(
            "The percentile or the least delay of a hedge is out of range, or the call leaves no "
            "time or no place in the bulkhead for a second attempt, or no call may have one: all "
            "of them change something, and none has an idempotency key."
        ),
        why_bad="The second attempt would double most calls, or never start.",
        fix="A percentile from p50 to p99.9, delay_min below the timeout, a bulkhead of 2 or more.",
        example='hedge=Hedge(after="p95", delay_min="1ms")',
    ),
    "TR018": CodeDoc(
        title="A share cannot be used",
        what="A share of the calls cannot be read or is out of range.",
        why_bad="`budget=10` may mean 10 % or ten attempts per call: it would be a retry storm.",
        fix="Write per cent, or a number from 0 to 1.",
        example='retry=Retry(budget="10%"), hedge=Hedge(extra="5%")',
    ),
    "TR019": CodeDoc(
        title="`extra_attempts` cannot have this size",
        what="The purse of retries and hedges is no whole number from 0 to 65535.",
        why_bad="One request could multiply its calls without a limit (req 9.4).",
        fix="Use the number of retries and hedges one request may cause in all; 0 allows none.",
        example='Service("orders", deadline="150ms", extra_attempts=3)',
    ),
    "TR020": CodeDoc(
        title="A route cannot be read",
        what="The route is no path of plain segments and whole-segment placeholders.",
        why_bad="It would match something else than it seems to.",
        fix="Start with `/`; a placeholder is a whole segment.",
        example='@service.view("/api/orders/{order_id}")',
    ),
    "TR021": CodeDoc(
        title="A route is taken",
        what=("Another view has the same route; names of placeholders do not tell routes apart."),
        why_bad="Only one of them would ever be reached.",
        fix="Change one route; static segments win over placeholders.",
        example='@service.view("/api/orders/{order_id}/summary")',
    ),
    "TR022": CodeDoc(
        title="A placeholder is repeated",
        what="The route has the same placeholder twice.",
        why_bad="A template could mean either segment.",
        fix="Give each its own name.",
        example='@service.view("/users/{user_id}/orders/{order_id}")',
    ),
    "TR023": CodeDoc(
        title="Nothing is declared",
        what="A service has no views, or a view has no parts.",
        why_bad="It would answer nothing.",
        fix="Declare a view with at least one part.",
        example='order: Order = strong(orders.get("/orders/{order_id}"))',
    ),
    "TR024": CodeDoc(
        title="A name of the reply's envelope collides",
        what=(
            "A part has the name of `degraded`, `request_id` or `served_at_ms`, or two of "
            "these share one, or an unknown one is renamed."
        ),
        why_bad="The reply would have a key twice, and clients read different ones.",
        fix="Rename the part or the envelope's field.",
        example='Service("orders", deadline="150ms", envelope={"degraded": "_degraded"})',
    ),
    "TR025": CodeDoc(
        title="A name is used for two things",
        what=(
            "A part, a parameter of another kind, or `item` has the name of a parameter "
            "that templates can use."
        ),
        why_bad="`{name}` in a template could mean either.",
        fix="Rename one of them.",
        example='@service.view("/api/orders/{order_id}")  # and the part stays `order`',
    ),
    "TR026": CodeDoc(
        title="A declaration has no type",
        what="A part or parameter has no annotation.",
        why_bad=(
            "Without a type nothing is validated, and every field of the upstream would "
            "leak (req 6.2)."
        ),
        fix="Annotate it with a model.",
        example="order: Order = strong(...)",
    ),
    "TR027": CodeDoc(
        title="An attribute is neither part nor parameter",
        what=(
            "The class body of a view has an attribute that says nothing about where its "
            "value comes from."
        ),
        why_bad="It would be missing in the reply.",
        fix=(
            "Assign `strong(...)`, `weak(...)`, `path()`, `query()` or `header()`, or start"
            " its name with `_`."
        ),
        example='user: User = strong(users.get("/users/{order.user_id}"))',
    ),
    "TR028": CodeDoc(
        title="An annotation cannot be read",
        what="Evaluating the annotation failed.",
        why_bad="The type of the part is unknown.",
        fix="Import the type at run time and define it before the view.",
        example="from app.models import Order",
    ),
    "TR029": CodeDoc(
        title="A view has too many parts",
        what="A view has more than 64 parts.",
        why_bad=(
            "One request would be many requests; the plane keeps one word of bits per request."
        ),
        fix="Split the view.",
        example='@service.view("/api/orders/{order_id}/details")',
    ),
    "TR030": CodeDoc(
        title="A view class is not a `View`",
        what="The decorated class does not derive from `View`.",
        why_bad="It would not be known as a declaration.",
        fix="Derive from `View`.",
        example="class OrderView(View):",
    ),
    "TR031": CodeDoc(
        title="A breaker cannot work like this",
        what=(
            "A count or a time of a breaker is out of range, `open_max` is below `open`, or `slow` "
            "is not below the call's timeout."
        ),
        why_bad=(
            "An address would be ejected for nothing, for ever or never: a call that is over at "
            "its timeout has no answer that could be slower."
        ),
        fix="Counts from 1, 1us <= open <= open_max <= 1h, `slow` below the timeout or left out.",
        example='breaker=Breaker(consecutive=7, slow="60ms", open="1s", open_max="60s")',
    ),
    "TR032": CodeDoc(
        title="A throttle cannot work like this",
        what="The factor or the number of calls of a throttle is out of range.",
        why_bad=(
            "A factor below 1 refuses calls to an upstream that accepts all of them; a large one "
            "refuses nothing."
        ),
        fix="A factor from 1 to 10, `requests_min` from 1.",
        example='throttle=Throttle(factor=2.0, requests_min=50, reject_max="90%")',
    ),
    "TR033": CodeDoc(
        title="An adaptive limit cannot work like this",
        what="1 <= `min` < bulkhead does not hold, or `init` is not between the two.",
        why_bad="The limit moves between `min` and the bulkhead; without room it never moves.",
        fix="Lower `min` or raise the bulkhead; leave `init` out to have it fitted.",
        example="bulkhead=200, adaptive=AdaptiveLimit(min=4, init=20)",
    ),
}
