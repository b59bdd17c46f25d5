"""Upstreams: addresses, timeout, policies, forwarded headers.

The failure prevented: an address that only fails at the first request, or a forwarded header that
breaks the connection it travels on (hop-by-hop headers belong to one connection).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tailrace._lower.attempts import lower_attempts
from tailrace._lower.caches import lower_cache
from tailrace._lower.context import Context, at
from tailrace._lower.guards import lower_guards
from tailrace._lower.policy import UNKNOWN
from tailrace._lower.rate import lower_rate
from tailrace._origin import Setting
from tailrace._source import Place
from tailrace.policies import Bulkhead
from tailrace.upstream import BULKHEAD_DEFAULT, TIMEOUT_DEFAULT, Upstream

if TYPE_CHECKING:
    from tailrace.service import Service

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|[0-9a-fA-F:.]+")
COUNT_MAX = (1 << 32) - 1
# Headers that belong to one connection, and those the plane writes itself.
HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# A second deadline, id or host beside the plane's own would leave the upstream to choose.
OWN = frozenset(
    {
        "accept",
        "connect-timeout-ms",
        "content-length",
        "expect",
        "grpc-timeout",
        "host",
        "tailrace-priority",
        "user-agent",
        "x-envoy-expected-rq-timeout-ms",
        "x-request-id",
    }
)


def lower_upstreams(context: Context, service: Service) -> list[dict[str, Any]]:
    lowered: list[dict[str, Any]] = []
    names: dict[str, Place] = {}
    for upstream in service.upstreams:
        if not isinstance(upstream, Upstream):
            continue  # Reported where the part is lowered.
        name = upstream.name
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            helps = ("a letter, then letters, digits, `-` and `_`, at most 64",)
            message = f"{name!r} cannot be an upstream's name"
            context.problem("TR004", message, at(upstream.place, "name", 0), helps=helps)
            continue
        same = environment_name(name)
        if same in names:
            message = f"two upstreams are called `{name}`"
            notes = (f"the other one is declared at {names[same]}",)
            helps = ("declare it once and import it, or give it another name",)
            place = at(upstream.place, "name", 0)
            context.problem("TR005", message, place, notes=notes, helps=helps)
        names[same] = upstream.place
        lowered.append(_upstream(context, upstream))
    return lowered


def environment_name(name: str) -> str:
    """`order-db` is `ORDER_DB` in environment variables; two such names must differ."""
    return re.sub(r"[^A-Za-z0-9]", "_", name).upper()


def _upstream(context: Context, upstream: Upstream) -> dict[str, Any]:
    name, place = upstream.name, upstream.place
    base = f"upstreams.{name}"
    key = ("upstreams", name)

    def setting(field: str, declared: Any, default: Any, path: str, where: Place) -> Setting:
        return context.setting((*key, field), declared, default, where, f"{base}.{path}")

    addresses = setting("addresses", upstream.address, (), "addresses", place)
    timeout = setting(
        "timeout", upstream.timeout, TIMEOUT_DEFAULT, "timeout_ms", at(place, "timeout")
    )
    forward = setting(
        "forward_headers",
        upstream.forward_headers or None,
        (),
        "forward_headers",
        at(place, "forward_headers"),
    )
    body_max = setting("body_max", upstream.body_max, None, "body_max_bytes", at(place, "body_max"))
    urls = _addresses(context, name, addresses)
    timeout_ms = context.duration(timeout, f"timeout of upstream `{name}`", fallback=UNKNOWN)
    bulkhead = _bulkhead(context, upstream)
    forwarded = _forward(context, name, forward)
    lowered: dict[str, Any] = {
        "name": name,
        "addresses": urls,
        "timeout_ms": timeout_ms,
        "bulkhead": bulkhead,
        **lower_attempts(context, upstream, timeout_ms, bulkhead["limit"]),
        **lower_guards(context, upstream, timeout_ms, bulkhead["limit"]),
        **lower_rate(context, key, f"upstream `{name}`", upstream.rate, (place, "rate")),
        **lower_cache(context, upstream, forwarded),
        "forward_headers": forwarded,
    }
    size = context.size(body_max, f"body_max of upstream `{name}`")
    if size is not None:
        lowered["body_max_bytes"] = size
    return lowered


def _bulkhead(context: Context, upstream: Upstream) -> dict[str, Any]:
    name = upstream.name
    place = at(upstream.place, "bulkhead")
    declared = upstream.bulkhead
    parts = declared if isinstance(declared, Bulkhead) else Bulkhead(declared or 0)
    if declared == 0:
        parts = Bulkhead(0)
    limit = context.setting(
        ("upstreams", name, "bulkhead"),
        None if declared is None else parts.limit,
        BULKHEAD_DEFAULT,
        place,
        f"upstreams.{name}.bulkhead.limit",
    )
    queue = context.setting(
        ("upstreams", name, "bulkhead_queue"),
        parts.queue,
        None,
        place,
        f"upstreams.{name}.bulkhead.queue",
    )
    subject = f"bulkhead of upstream `{name}`"
    lowered = {"limit": context.count(limit, subject, "TR014", 1, COUNT_MAX)}
    if queue.value is not None:
        lowered["queue"] = context.count(queue, f"queue in the {subject}", "TR014", 0, COUNT_MAX)
    return lowered


def _addresses(context: Context, name: str, setting: Setting) -> list[str]:
    given = setting.value
    urls = list(given) if isinstance(given, list | tuple) else [given]
    place = at(setting.place, "address", 1)
    if not urls:
        helps = (f'Upstream("{name}", "http://{name}:9001")',)
        context.problem("TR011", f"upstream `{name}` has no address", place, helps=helps)
    kept: list[str] = []
    for url in urls:
        address = _address(context, name, url, place)
        if address in kept:
            helps = ("each address is one destination; name it once",)
            message = f"upstream `{name}` has the address `{url}` twice"
            context.problem("TR011", message, place, helps=helps)
        elif address:
            kept.append(address)
    return kept


def _address(context: Context, name: str, url: object, place: Place) -> str:
    reason, help_ = url_problem(url)
    if reason:
        shown = re.sub(r"//[^/@]*@", "//***@", url) if isinstance(url, str) else url
        message = f"address {shown!r} of upstream `{name}` {reason}"
        context.problem("TR010", message, place, helps=(help_,))
        return ""
    return str(url).rstrip("/")


def url_problem(url: object) -> tuple[str, str]:
    example = 'an address is "http://host:port" or "http://host:port/base"'
    if not isinstance(url, str):
        return "is not text", example
    if "://" not in url:
        return "has no scheme", f'did you mean "http://{url}"?'
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"is not a URL: {error}", example
    if parts.scheme != "http":
        return f"has the scheme `{parts.scheme}`", "only http is spoken to upstreams; " + example
    if parts.username is not None or parts.password is not None:
        return (
            "carries credentials",
            "send them as a header: headers={...} or forward_headers=[...]",
        )
    if parts.query or parts.fragment or "?" in url or "#" in url:
        return "has a query or fragment", "give query={...} to `.get(...)`"
    if not parts.hostname or not _HOST.fullmatch(parts.hostname):
        return "has no usable host", example
    if port == 0 or re.search(r":$", parts.netloc):
        return "has no usable port", example
    if re.search(r"[\s{}]", url) or any(s in (".", "..") for s in parts.path.split("/")):
        return "has an odd base path", "templates go into `.get(...)`; " + example
    return "", ""


def _forward(context: Context, name: str, setting: Setting) -> list[str]:
    given = setting.value
    names = list(given) if isinstance(given, list | tuple | set | frozenset) else [given]
    kept: list[str] = []
    for header in names:
        lowered = str(header).lower()
        if check_header(context, header, f"upstream `{name}`", setting.place):
            kept.append(lowered)
    return list(dict.fromkeys(kept))


def check_header(
    context: Context, header: object, subject: str, place: Place, own: frozenset[str] = OWN
) -> bool:
    """Whether `header` may be sent by a user's choice; reports why not."""
    if not isinstance(header, str) or not _HEADER.fullmatch(header):
        helps = ("a header name is letters, digits and `-`, without colon or spaces",)
        context.problem("TR013", f"{subject}: {header!r} is no header name", place, helps=helps)
        return False
    if header.lower() in HOP_BY_HOP | own:
        why = "belongs to one connection" if header.lower() in HOP_BY_HOP else "is the plane's own"
        message = f"{subject}: `{header}` {why} and cannot be passed on"
        help_ = "remove it from the list"
        if header.lower() in own:
            help_ = "remove it: each call has the plane's own value or none"
        context.problem("TR012", message, place, helps=(help_,))
        return False
    return True
