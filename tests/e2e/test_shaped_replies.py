"""Every word that shapes a reply, from its declaration to the bytes a client reads.

The failure prevented: a declaration and a plane that are each tested, and mean different things.
Every view of this service has the words of `docs/guides/shape-a-reply.md` and of
`docs/concepts/bodies.md` that change what stands in a reply or whether a call is made.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, Field
from tailrace import Service, Upstream, View, body, form, header, query, strong, weak
from tailrace.testing import FakeUpstream, Received, TestPlane, ok, status

pytestmark = pytest.mark.e2e


class Item(BaseModel):
    id: str


class Label(BaseModel):
    """Merged under names of the reply's own."""

    title: str
    note: str | None = Field(default=None, alias="remark")


class Draft(BaseModel):
    user: str = Field(alias="userId")
    items: list[str] = []
    gift: bool = False


class Placed(BaseModel):
    id: str
    sent: dict[str, Any] = {}


up = Upstream("up", "http://up.invalid", timeout="5s", throttle=None, breaker=None)
service = Service("shaped", deadline="10s")


@service.view("/shaped/{id}")
class Shaped(View):
    renamed: Item = strong(up.get("/items/{id}"), name="the-item")
    inner: Item = strong(up.get("/wrapped/{id}"), unwrap="data.item")
    label: Label | None = weak(up.get("/labels/{id}"), merge=True)
    items: list[Item] = strong(up.get("/lists/{renamed.id}"))
    more: list[Item] = weak(up.get("/more/{id}"), append="items", default=[])


@service.view("/all", collection="every")
class Collected(View):
    first: Item = strong(up.get("/items/first"))
    every: list[Item] = strong(up.get("/lists/{first.id}"))
    rest: list[Item] = weak(up.get("/more/rest"), append="every", default=[])


@service.view("/drafts", method="POST")
class Place(View):
    draft: Draft = body()
    tenant: str | None = header("x-tenant", default=None)
    express: bool = query(default=False)
    placed: Placed = strong(
        up.post(
            "/placed",
            json={"for": "{draft.user}", "of": "{draft.items}", "via": "tailrace {draft.user}"},
            headers={"x-tenant": "{tenant}"},
        )
    )
    wrap: Item | None = weak(up.get("/items/wrap"), when="draft.gift")
    plain: Item | None = weak(up.get("/items/plain"), when="not draft.gift")
    quick: Item | None = weak(up.get("/items/quick"), when="express == true")


@service.view("/notes/{id}", method="PATCH")
class Note(View):
    text: str = form()
    noted: Placed = strong(up.patch("/noted/{id}", form={"t": "{text}"}))


def sent(request: Received) -> object:
    return {"id": "p", "sent": request.json()}


def listed(request: Received) -> object:
    return [{"id": f"{request.params['id']}-{n}", "secret": n} for n in range(2)]


ROUTES: dict[str, object] = {
    "/items/{id}": lambda request: {"id": request.params["id"], "secret": 1},
    "/wrapped/{id}": {"meta": [1], "data": {"item": {"id": "inside"}, "other": 2}},
    "/labels/{id}": {"title": "T", "remark": "R", "secret": 1},
    "/lists/{id}": listed,
    "/more/{id}": [{"id": "more"}],
    "POST /placed": sent,
    "PATCH /noted/{id}": ok({"id": "n"}),
}


@pytest.fixture
def plane() -> Iterator[TestPlane]:
    with TestPlane(service, up=FakeUpstream(ROUTES), clock="virtual") as running:
        yield running


def shown(document: dict[str, Any]) -> dict[str, Any]:
    own = ("request_id", "served_at_ms")
    return {name: value for name, value in document.items() if name not in own}


def test_parts_stand_where_their_words_put_them(plane: TestPlane) -> None:
    assert shown(plane.get("/shaped/7").json()) == {
        "the-item": {"id": "7"},
        "inner": {"id": "inside"},
        "title": "T",
        "note": "R",
        "items": [{"id": "7-0"}, {"id": "7-1"}, {"id": "more"}],
        "degraded": [],
    }


def test_what_is_missing_is_named_by_its_name_in_the_reply(plane: TestPlane) -> None:
    plane.upstreams["up"].on("/labels/{id}", status(500)).on("/more/{id}", status(404))
    reply = plane.get("/shaped/7")
    assert reply.degraded == {"label": "server_error", "more": "not_found"}
    assert shown(reply.json()) == {
        "the-item": {"id": "7"},
        "inner": {"id": "inside"},
        "items": [{"id": "7-0"}, {"id": "7-1"}],
        "degraded": ["label", "more"],
    }
    plane.upstreams["up"].on("/items/{id}", status(410))
    assert plane.get("/shaped/7").json()["part"] == "the-item"


def test_a_collection_is_a_bare_list(plane: TestPlane) -> None:
    reply = plane.get("/all", headers={"x-request-id": "mine"})
    assert reply.json() == [{"id": "first-0"}, {"id": "first-1"}, {"id": "more"}]
    assert reply.headers["x-request-id"] == "mine"
    plane.upstreams["up"].on("/more/{id}", status(500))
    reply = plane.get("/all")
    assert reply.json() == [{"id": "first-0"}, {"id": "first-1"}]
    assert reply.degraded == {"rest": "server_error"}


@pytest.mark.parametrize(
    ("gift", "express", "made"),
    [(True, "false", "wrap"), (False, "false", "plain"), (False, "true", "plain quick")],
)
def test_a_condition_decides_whether_a_call_is_made(
    gift: bool, express: str, made: str, plane: TestPlane
) -> None:
    draft = {"userId": 'a "b"', "items": ["x", "y"], "gift": gift, "unknown": 1}
    reply = plane.request(
        "POST", "/drafts", json=draft, query={"express": express}, headers={"x-tenant": "t"}
    )
    assert reply.status == 200, reply.body
    given = {"for": 'a "b"', "of": ["x", "y"], "via": 'tailrace a "b"'}
    assert reply.json()["placed"] == {"id": "p", "sent": given}
    parts = ("wrap", "plain", "quick")
    assert " ".join(one for one in parts if reply.json()[one]) == made
    assert reply.degraded == {}, "what was not asked for is not missing"
    plane.upstreams["up"].assert_received("POST /placed", headers={"x-tenant": "t"}, times=1)
    asked = [one.path for one in plane.upstreams["up"].received if one.method == "GET"]
    assert sorted(asked) == sorted(f"/items/{one}" for one in made.split())


def test_a_form_comes_in_and_a_form_goes_out(plane: TestPlane) -> None:
    reply = plane.request(
        "PATCH",
        "/notes/7",
        body=b"text=a+%26%3D",
        headers={"content-type": "application/x-www-form-urlencoded"},
    )
    assert reply.status == 200, reply.body
    received = plane.upstreams["up"].assert_received("PATCH /noted/7", times=1)
    assert received.body == b"t=a%20%26%3D"


def test_a_body_that_does_not_fit_reaches_nobody(plane: TestPlane) -> None:
    for sent, code in (({"userId": 7}, "bad_body"), ([], "bad_body")):
        assert plane.request("POST", "/drafts", json=sent).code == code
    assert plane.request("POST", "/drafts").code == "missing_body"
    plane.upstreams["up"].assert_not_called()


def test_a_call_that_is_no_repetition_is_made_once(plane: TestPlane) -> None:
    """req 9.4"""
    plane.fault("up", status(503), times=1)
    reply = plane.request("POST", "/drafts", json={"userId": "a"})
    assert (reply.status, reply.code) == (502, "server_error")
    assert plane.upstreams["up"].calls("POST /placed") == 1
    before = plane.upstreams["up"].calls("/items/{id}")
    plane.fault("up", status(503), times=1)
    assert plane.get("/all").status == 200
    assert plane.upstreams["up"].calls("/items/{id}") == before + 2, "a GET is made again"
