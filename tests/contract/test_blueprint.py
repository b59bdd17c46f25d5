"""Declarations and the blueprint crate know the same kinds.

req: every declared kind has a compiler and every compiler a declaration (STYLE rule 9). The crate's
source is the contract: each of its kinds and fields must be produced by one declaration that uses
everything, and nothing else may be produced.
"""

from collections.abc import Iterator
from typing import Any

import everything
import pytest
import rust
from tailrace import AdaptiveLimit, Hedge, Raw, Service, Upstream, View, strong
from tailrace._config import resolve
from tailrace._lower import build
from tailrace._lower.service import ENVELOPE, FORMAT_VERSION
from tailrace._options import SECTIONS

BLUEPRINT: dict[str, Any] = resolve(
    everything.service,
    flags={
        f"{section}.{key}": value
        for section, values in {
            "listen": {
                "host": "h",
                "port": 1,
                "admin_host": "a",
                "admin_port": 2,
                "admin_token_file": "/t",
                "workers": 3,
            },
            "access_log": {"format": "json", "ring": 8, "path": "/x"},
            "limits": {
                key: "5s" if option.field.endswith("_ms") else "5KiB" if option.field else 5
                for key, option in SECTIONS["limits"].items()
            },
        }.items()
        for key, value in values.items()
    },
).blueprint

VIEW = BLUEPRINT["views"][0]
VIEWS = BLUEPRINT["views"]
HANDLER = VIEWS[-1]
PARTS = [part for view in VIEWS for part in view["parts"]]
JSON = [piece for part in PARTS for piece in part.get("body", {}).get("json", [])]
SHAPES = BLUEPRINT["shapes"]
TEMPLATES = [part["path"] for part in VIEW["parts"]] + [
    row["value"]
    for part in VIEW["parts"]
    for row in [*part.get("query", []), *part.get("headers", [])]
]
PIECES = [piece for template in TEMPLATES for piece in template]


def keys(rows: Iterator[dict[str, Any]] | list[dict[str, Any]]) -> set[str]:
    return {key for row in rows for key in row}


def test_the_source_is_read() -> None:
    """Guards the reader itself: what it finds for three known types."""
    assert rust.variants("Strength") == {"strong", "weak"}
    assert rust.fields("PartField") == {"name", "field"}
    assert {"ge", "multiple_of"} <= rust.fields("NumberLimits")
    assert rust.variant_fields("Shape")["tuple"] == {"items"}
    assert rust.variant_fields("Shape")["any"] == set()


@pytest.mark.parametrize(
    ("name", "produced"),
    [
        ("Shape", {row["kind"] for row in SHAPES}),
        ("Piece", keys(PIECES)),
        ("JsonPiece", keys(JSON)),
        ("CallBody", keys([row["body"] for row in PARTS if "body" in row])),
        ("ParameterIn", {row["in"] for view in VIEWS for row in view["parameters"]}),
        ("Strength", {row["strength"] for row in VIEW["parts"]}),
        ("Method", {row["method"].lower() for row in PARTS}),
        ("Extra", {row["extra"] for row in SHAPES if row["kind"] == "object"}),
        ("StringFormat", {row["format"] for row in SHAPES if "format" in row}),
    ],
)
def test_every_kind_is_declared_and_compiled(name: str, produced: set[str]) -> None:
    assert produced == rust.variants(name)


@pytest.mark.parametrize(
    ("name", "produced"),
    [
        ("View", keys(VIEWS)),
        ("Handler", set(HANDLER["handler"])),
        ("Computed", set(VIEW["computed"])),
        ("ComputedField", keys(VIEW["computed"]["fields"])),
        ("Parameter", keys(VIEW["parameters"])),
        ("Part", keys(PARTS)),
        ("RequestBody", keys([row["body"] for row in VIEWS if "body" in row])),
        ("Condition", keys([row["when"] for row in PARTS if "when" in row])),
        ("Unwrap", keys([row["unwrap"] for row in PARTS if "unwrap" in row])),
        ("Each", keys([row["each"] for row in VIEW["parts"] if "each" in row])),
        ("PartField", keys([piece["part"] for piece in PIECES if "part" in piece])),
        ("NamedTemplate", keys(VIEW["parts"][2]["query"] + VIEW["parts"][2]["headers"])),
        ("Otherwise", keys([row["otherwise"] for row in VIEW["parts"] if "otherwise" in row])),
        ("Upstream", keys(BLUEPRINT["upstreams"])),
        ("CacheParams", keys([row["cache"] for row in BLUEPRINT["upstreams"] if "cache" in row])),
        ("BulkheadParams", keys([row["bulkhead"] for row in BLUEPRINT["upstreams"]])),
        ("RetryParams", keys([row["retry"] for row in BLUEPRINT["upstreams"] if "retry" in row])),
        ("HedgeParams", keys([row["hedge"] for row in BLUEPRINT["upstreams"] if "hedge" in row])),
        (
            "BreakerParams",
            keys([row["breaker"] for row in BLUEPRINT["upstreams"] if "breaker" in row]),
        ),
        (
            "ThrottleParams",
            keys([row["throttle"] for row in BLUEPRINT["upstreams"] if "throttle" in row]),
        ),
        (
            "AdaptiveParams",
            keys([row["adaptive"] for row in BLUEPRINT["upstreams"] if "adaptive" in row]),
        ),
        ("RateParams", keys([row["rate"] for row in BLUEPRINT["upstreams"] if "rate" in row])),
        ("Tracing", set(BLUEPRINT["tracing"])),
        ("Admission", set(BLUEPRINT["admission"])),
        ("ShedParams", set(BLUEPRINT["admission"]["shed"])),
        ("BrownoutParams", set(BLUEPRINT["admission"]["brownout"])),
        ("FeasibilityParams", set(BLUEPRINT["admission"]["feasibility"])),
        ("ClientPriority", keys(BLUEPRINT["admission"]["priorities"])),
        ("Field", keys([f for row in SHAPES if row["kind"] == "object" for f in row["fields"]])),
        ("NumberLimits", keys([row["limits"] for row in SHAPES if "limits" in row])),
        ("Listen", set(BLUEPRINT["listen"])),
        ("Limits", set(BLUEPRINT["limits"])),
        ("AccessLog", set(BLUEPRINT["access_log"])),
        ("Envelope", set(BLUEPRINT["envelope"])),
        # Naive mode is switched on by the lab's flag, not by a declaration.
        ("Blueprint", set(BLUEPRINT) | {"protections"}),
    ],
)
def test_every_field_is_produced_and_known(name: str, produced: set[str]) -> None:
    assert produced == rust.fields(name)


def test_fields_of_shapes_are_known_and_all_used() -> None:
    produced: dict[str, set[str]] = {}
    for row in SHAPES:
        produced.setdefault(row["kind"], set()).update(set(row) - {"kind"})
    assert produced == rust.variant_fields("Shape")


def test_the_format_version_is_the_crates() -> None:
    assert f"pub const FORMAT_VERSION: u32 = {FORMAT_VERSION};" in rust.text()
    assert BLUEPRINT["format_version"] == FORMAT_VERSION


def test_the_envelopes_names_are_the_crates() -> None:
    assert set(ENVELOPE) == rust.fields("Envelope")


def test_listen_and_limits_are_left_to_the_crates_defaults() -> None:
    """Each default stands once, in Rust (DESIGN 9): what nobody set is not written."""
    blueprint = build(everything.service).blueprint
    assert not {"listen", "limits", "access_log"} & set(blueprint)


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        ("retry", "RetryParams"),
        ("hedge", "HedgeParams"),
        ("breaker", "BreakerParams"),
        ("throttle", "ThrottleParams"),
        ("adaptive", "AdaptiveParams"),
    ],
)
def test_the_defaults_of_a_policy_are_the_crates(policy: str, name: str) -> None:
    up = Upstream("up", "http://up:1", hedge=Hedge(), adaptive=AdaptiveLimit())
    service = Service("defaults", deadline="1s")

    @service.view("/x")
    class XView(View):
        x: Raw = strong(up.get("/x"))

    blueprint = service.blueprint()
    assert blueprint["upstreams"][0][policy] == rust.defaults(name)
    assert f"fn extra_attempts() -> u32 {{\n    {blueprint['views'][0]['extra_attempts']}\n}}" in (
        rust.text()
    )


def test_shapes_are_all_used_and_in_range() -> None:
    rows = [row for view in VIEWS for row in view["parameters"] + view["parts"]]
    rows += [view["body"] for view in VIEWS if "body" in view]
    rows += [part["unwrap"] for part in PARTS if "unwrap" in part]
    used = {row["shape"] for row in rows}
    for row in SHAPES:
        used |= set(_inner(row))
    assert used == set(range(len(SHAPES)))


def _inner(row: dict[str, Any]) -> list[int]:
    kind = row["kind"]
    if kind == "object":
        return [field["shape"] for field in row["fields"]]
    if kind == "tagged_union":
        return [index for _, index in row["variants"]]
    found: list[int] = []
    for name in ("items", "values", "inner", "variants") if kind != "literal" else ():
        value = row.get(name, [])
        found += value if isinstance(value, list) else [value]
    return found


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        ("shed", "ShedParams"),
        ("brownout", "BrownoutParams"),
        ("feasibility", "FeasibilityParams"),
    ],
)
def test_the_defaults_of_admission_are_the_crates(policy: str, name: str) -> None:
    service = Service("defaults", deadline="1s")
    up = Upstream("up", "http://up:1")

    @service.view("/x")
    class XView(View):
        x: Raw = strong(up.get("/x"))

    admission = service.blueprint()["admission"]
    known = rust.defaults(name)
    if policy == "shed":
        assert "cpu: Some(0.95)," in rust.text()
        known["cpu"] = 0.95
    assert admission[policy] == known
    assert f"calls_max: {admission['calls_max']:_}," in rust.text()
    assert f"clients_max: {admission['clients_max']:_}," in rust.text()
