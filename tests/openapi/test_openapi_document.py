"""The document says what the plane does: valid, complete, the same every time."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NotRequired

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import AliasChoices, BaseModel, Field
from tailrace import Cache, Service, Upstream, View, body, header, path, query, strong, weak
from tailrace._lower import build
from tailrace._openapi import document, render, served
from tailrace._runtime import problems
from tailrace.policies import Rate
from typing_extensions import TypedDict

from examples.orders.service import service as orders_service
from tests.contract.everything import service as everything

ROOT = Path(__file__).parents[2]
one = Upstream("one", "http://127.0.0.1:1", forward_headers=["x-tenant", "authorization"])


def made(service: Service, **options: Any) -> dict[str, Any]:
    return document(service, build(service), **options)


def of(view: type[View], route: str = "/x/{id}", **options: Any) -> dict[str, Any]:
    service = Service("made", deadline="1s", **options)
    service.view(route)(view)
    return made(service)


def reply_of(found: dict[str, Any]) -> dict[str, Any]:
    (methods,) = found["paths"].values()
    reference = methods["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    return dict(found["components"]["schemas"][reference.rpartition("/")[2]])


class Item(BaseModel):
    """One thing."""

    sku: str = Field(description="Stock keeping unit.")
    label: str | None = None


class Loose(TypedDict):
    a: int
    b: NotRequired[str]


class Tree(BaseModel):
    name: str
    children: list["Tree"]


@pytest.mark.parametrize("service", [orders_service, everything], ids=["orders", "everything"])
def test_the_document_is_valid_openapi_3_1(service: Service) -> None:
    found = made(service, server="https://api.example.com")
    assert found["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(found).iter_errors()) == []


def test_a_broken_document_would_be_noticed() -> None:
    found = made(orders_service)
    del found["info"]["version"]
    assert list(OpenAPIV31SpecValidator(found).iter_errors())


def test_every_reference_leads_somewhere() -> None:
    found = made(everything)
    for reference in set(re.findall(r'"#/([^"]+)"', render(found).decode())):
        target: Any = found
        for step in reference.split("/"):
            target = target[step]
        assert target, reference


def test_the_same_service_gives_the_same_bytes_whatever_the_hash_seed() -> None:
    code = (
        "from tests.contract.everything import service; from tailrace._lower import build;"
        "from tailrace._openapi import document, page, render; d = document(service, "
        "build(service)); import hashlib; print(hashlib.sha256(render(d) + page(d)).hexdigest())"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1


def test_the_version_changes_with_the_promise_and_not_with_the_address() -> None:
    class Plain(View):
        item: Item = strong(one.get("/i/{id}"))

    class Degrades(View):
        item: Item | None = weak(one.get("/i/{id}"))

    strict, lenient = of(Plain), of(Degrades)
    assert strict["info"]["version"] != lenient["info"]["version"]
    service = Service("made", deadline="1s")
    service.view("/x/{id}", name="plain")(Plain)
    elsewhere = made(service, server="https://elsewhere.example")
    assert elsewhere["info"]["version"] == strict["info"]["version"]


# req 8.1, 10.2: what may be missing, and what stands in its place, is part of the contract.
def test_the_reply_says_what_may_be_missing() -> None:
    class Degrades(View):
        sure: Item = strong(one.get("/i/{id}"))
        maybe: Item | None = weak(one.get("/m/{id}"))
        some: list[Item] = weak(one.get("/s/{id}"), default=[])

    found = of(Degrades, envelope={"degraded": "_missing"})
    reply = reply_of(found)
    parts = reply["properties"]
    assert parts["sure"]["x-tailrace-strength"] == "strong"
    assert "x-tailrace-when-missing" not in parts["sure"]
    assert parts["maybe"]["anyOf"][1] == {"type": "null"}
    assert parts["maybe"]["x-tailrace-when-missing"] is None
    assert parts["some"]["x-tailrace-when-missing"] == []
    assert parts["_missing"]["items"]["enum"] == ["maybe", "some"]
    assert reply["required"] == [*parts]
    assert "degraded" not in parts
    headers = found["paths"]["/x/{id}"]["get"]["responses"]["200"]["headers"]
    assert headers.keys() == {"X-Request-Id", "Tailrace-Degraded", "Cache-Control"}
    assert "`_missing`" in found["info"]["description"]


def test_a_view_without_weak_parts_promises_an_empty_list() -> None:
    class Plain(View):
        item: Item = strong(one.get("/i/{id}"))

    found = of(Plain)
    assert reply_of(found)["properties"]["degraded"]["maxItems"] == 0
    assert found["paths"]["/x/{id}"]["get"]["responses"]["200"]["headers"].keys() == {
        "X-Request-Id"
    }


def test_a_weak_fan_out_may_be_null_as_a_whole_only_without_a_default() -> None:
    class Lists(View):
        ids: list[str] = strong(one.get("/ids/{id}"))
        nullable: list[Item | None] | None = weak(one.get("/i/{item}"), each="ids", each_max=3)
        empty: list[Item | None] = weak(one.get("/i/{item}"), each="ids", default=[])

    parts = reply_of(of(Lists))["properties"]
    assert parts["nullable"]["type"] == ["array", "null"]
    assert parts["nullable"]["maxItems"] == 3
    assert parts["empty"]["type"] == "array"
    assert {"type": "null"} in parts["empty"]["items"]["anyOf"]


def test_statuses_are_those_the_view_can_give() -> None:
    class Strong(View):
        item: Item = strong(one.get("/i/{id}"))

    class Weak(View):
        item: Item | None = weak(one.get("/i"))

    strict = set(of(Strong)["paths"]["/x/{id}"]["get"]["responses"])
    lenient = set(of(Weak, "/x")["paths"]["/x"]["get"]["responses"])
    assert {"200", "400", "404", "410", "502", "503", "504"} <= strict
    assert "405" not in strict  # no GET of a known path is answered so
    assert lenient == strict - {"404", "410", "502", "504"}


def test_every_code_of_the_plane_stands_at_its_status() -> None:
    found = made(orders_service)["components"]
    for scope, code, status, detail in problems():
        if scope in ("body", "handler", "rate") or (scope == "route" and status == 405):
            continue
        narrowed = found["schemas"][f"Problem{status}"]["properties"]
        assert code in narrowed["code"]["enum"]
        assert narrowed["status"]["const"] == status
        assert detail in found["responses"][f"Problem{status}"]["description"]
    assert "Retry-After" in found["responses"]["Problem503"]["headers"]


def test_parameters_carry_their_types_and_limits() -> None:
    class Asks(View):
        id: int = path(ge=1, le=9)
        q: str = query(alias="Q", min_length=2, pattern="^[a-z]+$")
        on: bool = query(default=True)
        tenant: str | None = header("X-Tenant", default=None)
        item: Item = strong(one.get("/i/{id}", query={"q": "{q}", "on": "{on}"}))

    rows = {row["name"]: row for row in of(Asks)["paths"]["/x/{id}"]["get"]["parameters"]}
    assert rows["id"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 9}
    # Text of a URL holds no control characters (S07), which its own pattern need not know.
    plain = {"pattern": r"^[^\u0000-\u001F\u007F]*$"}
    own = {"type": "string", "minLength": 2, "pattern": "^[a-z]+$"}
    assert rows["Q"]["schema"] == own | {"allOf": [plain]}
    assert rows["Q"]["required"]
    assert rows["on"]["schema"] == {"type": "boolean", "default": True}
    # Declared once, forwarded too: told once. `authorization` is no parameter in OpenAPI.
    assert list(rows) == ["id", "Q", "on", "x-tenant"]


def test_a_forwarded_header_is_told() -> None:
    class Plain(View):
        item: Item = strong(one.get("/i/{id}"))

    rows = of(Plain)["paths"]["/x/{id}"]["get"]["parameters"]
    assert [(row["name"], row["in"], row["required"]) for row in rows] == [
        ("id", "path", True),
        ("x-tenant", "header", False),
    ]
    assert rows[0]["schema"]["not"] == {"enum": [".", ".."]}


def test_objects_promise_what_the_plane_sends() -> None:
    class Shapes(View):
        item: Item = strong(one.get("/i/{id}"))
        loose: Loose = strong(one.get("/l/{id}"))
        tree: Tree = strong(one.get("/t/{id}"))

    schemas = of(Shapes)["components"]["schemas"]
    # A default is added by the plane, so the field is always there; `NotRequired` may be absent.
    assert schemas["Item"]["required"] == ["sku", "label"]
    assert schemas["Loose"]["required"] == ["a"]
    assert schemas["Item"]["additionalProperties"] is False
    assert schemas["Item"]["description"] == "One thing."
    assert schemas["Item"]["properties"]["sku"]["description"] == "Stock keeping unit."
    children = schemas["Tree"]["properties"]["children"]
    assert children == {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}


def test_models_of_one_name_stay_apart() -> None:
    def other() -> type[BaseModel]:
        class Item(BaseModel):
            weight: int

        return Item

    Other = other()  # noqa: N806 - a class

    class Both(View):
        mine: Item = strong(one.get("/i/{id}"))
        theirs: Other = strong(one.get("/o/{id}"))  # type: ignore[valid-type]

    schemas = of(Both)["components"]["schemas"]
    assert "sku" in schemas["Item"]["properties"]
    assert "weight" in schemas["Item2"]["properties"]


def test_a_pattern_that_only_the_plane_can_read_is_left_out() -> None:
    class Odd(BaseModel):
        same: str = Field(pattern=r"^\d{3}$")
        flagged: str = Field(pattern=r"(?i)^abc$")

    class Asks(View):
        item: Odd = strong(one.get("/i/{id}"))

    fields = of(Asks)["components"]["schemas"]["Odd"]["properties"]
    assert fields["same"]["pattern"] == r"^\d{3}$"
    assert "pattern" not in fields["flagged"]


def test_a_running_service_names_its_own_address() -> None:
    built = build(everything)
    openapi, docs = served(everything, built)
    assert json.loads(openapi)["servers"] == [{"url": "http://127.0.0.1:8080"}]
    assert b'href="openapi.json"' in docs
    built.blueprint["listen"] = {"host": "::1", "port": 81}
    assert json.loads(served(everything, built)[0])["servers"] == [{"url": "http://[::1]:81"}]
    built.blueprint["listen"] = {"port": 0}
    assert "servers" not in json.loads(served(everything, built)[0])


def test_bodies_forms_and_layouts_are_described() -> None:
    """What `tests/contract/everything.py` declares with a body, a form and a bare list."""
    found = made(everything)
    post, put = found["paths"]["/all"]["post"], found["paths"]["/all"]["put"]
    body = post["requestBody"]
    assert body["required"]
    sent = {"$ref": "#/components/schemas/LineInput"}  # `Line` is replied, with nothing beside it.
    assert body["content"]["application/json"]["schema"] == sent
    form = put["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    assert (list(form["properties"]), form["required"]) == (["note"], ["note"])
    assert {"400", "413", "415"} <= set(post["responses"])
    assert "415" not in found["paths"]["/all/{id}"]["get"]["responses"]
    reply = found["components"]["schemas"]["PostAllReply"]
    assert reply["type"] == "array"
    assert reply["items"] == {"$ref": "#/components/schemas/Line"}


def test_merged_fields_stand_in_the_reply() -> None:
    shop = Upstream("shop", "http://shop:1")
    service = Service("merged", deadline="1s")

    @service.view("/it")
    class It(View):
        item: Item = strong(shop.get("/item"), merge=True)
        more: Item | None = weak(shop.get("/more"), name="other-item")
        tree: Tree | None = weak(shop.get("/tree"), merge=True)

    reply = made(service)["components"]["schemas"]["ItReply"]
    assert list(reply["properties"])[:4] == ["sku", "label", "other-item", "name"]
    assert {"sku", "other-item"} <= set(reply["required"])
    assert not {"name", "children"} & set(reply["required"])


def test_what_callers_send_is_described_as_it_is_accepted() -> None:
    class Draft(BaseModel):
        user: str = Field(validation_alias=AliasChoices("userId", "user_id"))
        note: str = "none"
        items: list[Item]

    class Place(View):
        draft: Draft = body()
        item: Item = strong(one.post("/i", json={"user": "{draft.user}"}))

    service = Service("made", deadline="1s")
    service.view("/x", method="POST")(Place)
    schemas = made(service)["components"]["schemas"]
    draft = schemas["Draft"]
    assert list(draft["properties"]) == ["userId", "user_id", "note", "items"]
    assert draft["allOf"] == [{"anyOf": [{"required": ["userId"]}, {"required": ["user_id"]}]}]
    assert draft["required"] == ["items"]
    assert draft["properties"]["note"]["default"] == "none"
    assert "additionalProperties" not in draft  # Others are dropped, not refused.
    assert draft["properties"]["items"]["items"] == {"$ref": "#/components/schemas/ItemInput"}
    assert schemas["ItemInput"]["required"] == ["sku"]
    assert schemas["Item"]["required"] == ["sku", "label"]


# req 8.3: an older answer may stand in for a strong part too, and the reply says so.
def test_a_view_with_cached_parts_documents_where_they_are_from() -> None:
    class Kept(View):
        item: Item = strong(one.get("/i/{id}"), cache=Cache(ttl="2s", per_identity=True))

    class Fresh(View):
        item: Item = strong(one.get("/i/{id}"))

    def headers(view: type[View]) -> set[str]:
        paths = of(view)["paths"]
        (operations,) = paths.values()
        return set(operations["get"]["responses"]["200"]["headers"])

    assert headers(Kept) - headers(Fresh) == {
        "Tailrace-Sources",
        "Tailrace-Degraded",
        "Cache-Control",
    }


# req 9.1a: who is refused before anything runs is told so in the contract.
def test_a_rate_is_part_of_the_contract() -> None:
    class Plain(View):
        item: Item = strong(one.get("/i"))

    service = Service("made", deadline="1s")
    service.view("/free")(Plain)
    service.view("/rated", name="rated", rate=Rate(per_second=5, burst=10))(Plain)
    found = made(service)
    free, rated = (found["paths"][path]["get"]["responses"] for path in ("/free", "/rated"))
    assert ("429" in free, "429" in rated) == (False, True)
    assert "RateLimit" in rated["200"]["headers"]
    assert "RateLimit" not in free["200"]["headers"]
    codes = found["components"]["schemas"]["Problem429"]["properties"]["code"]["enum"]
    assert codes == ["client_rate", "route_rate"]
    full = found["components"]["schemas"]["Problem503"]["properties"]["code"]["enum"]
    assert {"draining", "shed", "overloaded"} <= set(full)
    assert list(OpenAPIV31SpecValidator(found).iter_errors()) == []


def test_a_part_whose_older_answer_stands_in_can_be_listed() -> None:
    kept = Upstream("kept", "http://127.0.0.1:1", cache=Cache(ttl="1s"))

    class Keeps(View):
        item: Item = strong(kept.get("/i/{id}"))
        plain: Item = strong(one.get("/i/{id}"))

    missing = reply_of(of(Keeps))["properties"]["degraded"]
    assert missing["items"]["enum"] == ["item"]
    assert missing["maxItems"] == 1
