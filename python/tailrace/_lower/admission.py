"""Admission: who is let in, what goes first under pressure.

The failure prevented: a protection that refuses everybody, or one that anybody can talk his way
around. A client's name in a header is worth something only where a trusted peer wrote it; an order
in which nothing is left out is none. Ranges are those of `crates/tailrace-policy`; the blueprint's
checks in Rust say the same to other producers.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from tailrace._lower.context import Context, at
from tailrace._lower.policy import Settings, share_of, wait
from tailrace._lower.rate import lower_rate
from tailrace._origin import Setting
from tailrace._source import Place, nested
from tailrace.errors import suggestion
from tailrace.policies import Admission, Brownout, Feasibility, Shed
from tailrace.quantities import share_text

if TYPE_CHECKING:
    from tailrace.handlers import HandlerDeclaration
    from tailrace.service import Service
    from tailrace.view import ViewDeclaration

PRIORITIES: Final = ("sheddable", "sheddable_plus", "critical", "critical_plus")
PRIORITY_DEFAULT: Final = "critical"
COUNT_MAX: Final = 1 << 24
TRUSTED_MAX: Final = 256
CLIENTS_MAX: Final = 1_024
DELAY_MAX_MS: Final = 500.0
DELAY_MIN_MS: Final = 0.001
DWELL_MIN_MS: Final = 100.0
DWELL_MAX_MS: Final = 600_000.0
REFUSED_MAX: Final = 0.5
_HEADER: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_KEY: Final = ("admission",)


def lower_admission(context: Context, service: Service) -> dict[str, Any]:
    place = at(service.place, "admission")
    declared = Admission() if service.admission is None else service.admission
    if not isinstance(declared, Admission):
        helps = ("write admission=Admission(...), or leave it out",)
        context.problem("TR091", f"admission cannot be {declared!r}", place, helps=helps)
        declared = Admission()
    lowered: dict[str, Any] = _clients(context, service.place, declared)
    written = (service.place, "admission", "rate")
    lowered |= lower_rate(context, _KEY, "each client", declared.rate, written)
    for name in ("clients_max", "calls_max"):
        found = _setting(context, service.place, declared, name)
        lowered[name] = context.count(found, f"{name} of admission", "TR093", 1, COUNT_MAX)
    shed = _policy(context, service.place, ("shed", "TR093"), declared.shed, Shed)
    lowered["shed"] = None if shed is None else _shed(context, shed)
    brownout = _policy(context, service.place, ("brownout", "TR094"), declared.brownout, Brownout)
    lowered["brownout"] = None if brownout is None else _brownout(context, brownout)
    feasibility = _policy(
        context, service.place, ("feasibility", "TR093"), declared.feasibility, Feasibility
    )
    lowered["feasibility"] = None if feasibility is None else _feasibility(context, feasibility)
    return lowered


def lower_priority(context: Context, view: ViewDeclaration | HandlerDeclaration) -> str:
    setting = context.setting(
        ("views", view.name, "priority"),
        view.priority,
        PRIORITY_DEFAULT,
        at(view.place, "priority"),
        f"views.{view.name}.priority",
    )
    return _priority(context, setting.value, f"priority of view `{view.name}`", setting.place)


def check_calls(context: Context, service: Service, blueprint: dict[str, Any]) -> None:
    """A view that needs more calls than all requests together may is a mistake in one of them."""
    most = blueprint["admission"]["calls_max"]
    for view in blueprint["views"]:
        if len(view["parts"]) > most and not context.problems:
            message = f"view `{view['name']}` needs {len(view['parts'])} calls, calls_max is {most}"
            notes = ("the requests in progress may need so many calls together",)
            helps = ("raise calls_max to what a process can have in flight; 8192 is usual",)
            place = _setting(context, service.place, service.admission, "calls_max").place
            context.problem("TR093", message, place, notes=notes, helps=helps)


def _setting(context: Context, place: Place, declared: Admission | None, name: str) -> Setting:
    usual = getattr(Admission(), name)
    value = usual if declared is None else getattr(declared, name)
    where = nested(place, "admission", name)
    return context.setting(
        (*_KEY, name), None if value == usual else value, usual, where, f"admission.{name}"
    )


def _clients(context: Context, place: Place, declared: Admission) -> dict[str, Any]:
    client = _setting(context, place, declared, "client")
    trusted = _setting(context, place, declared, "trusted")
    networks = _networks(context, trusted)
    name = client.value
    header = isinstance(name, str) and name.startswith("header:")
    if name != "address" and not (header and _HEADER.fullmatch(name.removeprefix("header:"))):
        helps = ('client="address" or client="header:x-tenant"',)
        message = f"clients cannot be known by {name!r}"
        context.problem("TR091", message, client.place, helps=helps)
    elif header and not networks and not context.problems:
        message = f"clients are known by `{name}`, and nobody is trusted to say it"
        notes = ("a client that may write the header itself has as many rates as it likes",)
        helps = ('name the networks of the peers that set it: trusted=["10.0.0.0/8"]',)
        context.problem("TR091", message, client.place, notes=notes, helps=helps)
    where = nested(place, "admission", "priorities")
    return {
        "client": str(name),
        "trusted": networks,
        "priorities": _priorities(context, declared.priorities, str(name), where),
    }


def _networks(context: Context, setting: Setting) -> list[str]:
    given = setting.value
    if isinstance(given, str) or not isinstance(given, list | tuple | set | frozenset):
        helps = ('a list of networks: trusted=["10.0.0.0/8"]',)
        context.problem("TR091", f"trusted cannot be {given!r}", setting.place, helps=helps)
        return []
    if len(given) > TRUSTED_MAX:
        message = f"{len(given)} networks are trusted; {TRUSTED_MAX} is the most"
        context.problem("TR091", message, setting.place, helps=("join them into larger ones",))
    kept: list[str] = []
    for network in given:
        try:
            kept.append(str(ipaddress.ip_network(network if isinstance(network, str) else "")))
        except ValueError as error:
            helps = ('a network is "10.0.0.0/8", "fd00::/8" or one address',)
            message = f"trusted network {network!r} cannot be read: {error}"
            context.problem("TR091", message, setting.place, helps=helps)
    return list(dict.fromkeys(kept))


def _priorities(context: Context, given: object, client: str, place: Place) -> list[dict[str, str]]:
    if not isinstance(given, Mapping) or len(given) > CLIENTS_MAX:
        helps = (f'at most {CLIENTS_MAX}: priorities={{"batch": "sheddable"}}',)
        context.problem("TR092", "priorities are those of named clients", place, helps=helps)
        return []
    kept = []
    for name, priority in given.items():
        if (client == "address" and not _is_address(name)) or not name:
            message = f"{name!r} is no address, which clients are known by"
            helps = ('write an address, or know clients by a header: client="header:x-tenant"',)
            context.problem("TR092", message, place, helps=helps)
        chosen = _priority(context, priority, f"priority of client `{name}`", place)
        kept.append({"client": str(name), "priority": chosen})
    return kept


def _is_address(name: object) -> bool:
    try:
        ipaddress.ip_address(name if isinstance(name, str) else "")
    except ValueError:
        return False
    return True


def _priority(context: Context, value: object, subject: str, place: Place) -> str:
    if value not in PRIORITIES:
        helps = suggestion(str(value), PRIORITIES, "priorities")
        context.problem("TR092", f"{subject} cannot be {value!r}", place, helps=helps)
        return PRIORITY_DEFAULT
    return str(value)


def _policy(
    context: Context, place: Place, known: tuple[str, str], declared: object, kind: type[Any]
) -> Settings | None:
    """The effective values by field of a policy, known by its word and code; `None`: it is off."""
    word, code = known
    where = nested(place, "admission", word)
    if declared is not None and not isinstance(declared, kind):
        helps = (f"write {word}={kind.__name__}(...), or {word}=None for none",)
        context.problem(code, f"{word} of admission cannot be {declared!r}", where, helps=helps)
        return None
    names = [field.name for field in fields(kind)]
    switch = context.overrides.find((*_KEY, word))
    touched = any(context.overrides.find((*_KEY, f"{word}_{name}")) for name in names)
    on = (declared is not None or touched) if switch is None else switch.value
    if not on:
        context.origins[f"admission.{word}"] = switch.origin if switch else f"code {where}"
        return None
    usual, found = kind(), {}
    for name in names:
        value = getattr(usual if declared is None else declared, name)
        default = getattr(usual, name)
        unit = "_ms" if name in ("delay", "dwell") else ""
        found[name] = context.setting(
            (*_KEY, f"{word}_{name}"),
            None if value == default else value,
            default,
            nested(place, "admission", word, name),
            f"admission.{word}.{name}{unit}",
        )
        if value is None:
            # `None` is a choice here, which an absent value is not.
            found[name] = context.overrides.find((*_KEY, f"{word}_{name}")) or Setting(
                None, f"code {where}", where
            )
    return found


def _shed(context: Context, found: Settings) -> dict[str, Any]:
    without = "what is ready always waits a little; shed=None refuses nobody"
    delay = wait(context, found["delay"], "delay of shed", without)
    if delay < DELAY_MIN_MS or delay > DELAY_MAX_MS:
        helps = ('up to 500ms; the usual is "5ms"',)
        message = f"delay of shed cannot be {found['delay'].value!r}"
        context.problem("TR093", message, found["delay"].place, helps=helps)
    cpu = found["cpu"]
    watched = cpu.value is not None and cpu.value != "off"
    share = share_of(context, cpu, "cpu of shed", 1.0, least=0.1) if watched else None
    return {"delay_ms": delay, "cpu": share}


def _brownout(context: Context, found: Settings) -> dict[str, Any]:
    before = len(context.problems)
    start, full, band = (
        share_of(context, found[name], f"{name} of brownout", 1.0)
        for name in ("start", "full", "band")
    )
    dwell = wait(context, found["dwell"], "dwell of brownout", "parts would come and go")
    lowered = {"start": start, "full": full, "band": band, "dwell_ms": dwell}
    if len(context.problems) > before:
        return lowered
    if full < start:
        message = (
            f"brownout leaves out the last part at {share_text(full)}, "
            f"the first only at {share_text(start)}"
        )
        helps = ("raise full or lower start",)
        context.problem("TR094", message, found["full"].place, helps=helps)
    elif band >= start:
        message = (
            f"band of brownout is {share_text(band)}, and the first part goes at "
            f"{share_text(start)}: it would never come back"
        )
        helps = ("a band below start; the usual is 10%",)
        context.problem("TR094", message, found["band"].place, helps=helps)
    elif not DWELL_MIN_MS <= dwell <= DWELL_MAX_MS:
        message = f"dwell of brownout cannot be {found['dwell'].value!r}"
        context.problem("TR094", message, found["dwell"].place, helps=("from 100ms to 10m",))
    return lowered


def _feasibility(context: Context, found: Settings) -> dict[str, Any]:
    share = share_of(
        context, found["refused_max"], "refused_max of feasibility", REFUSED_MAX, zero=True
    )
    return {"refused_max": share}
