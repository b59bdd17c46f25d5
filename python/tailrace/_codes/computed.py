"""Computed fields.

The failure prevented: code on the request path that waits, takes what nobody gives, or returns
what nobody declared.
"""

from __future__ import annotations

from typing import Final

from tailrace._codes.page import CodeDoc

PAGES: Final[dict[str, CodeDoc]] = {
    "TR150": CodeDoc(
        title="A computed field is not a plain method",
        what="The decorated thing is `async`, a generator, a property, or no function at all.",
        why_bad="It is called once per request when the parts are there: nobody would await it.",
        fix="Write a plain method; what has to be fetched is a part, or belongs into a handler.",
        example="@computed\ndef total(self) -> int:\n    return sum(self.order.prices)",
    ),
    "TR151": CodeDoc(
        title="A computed field takes arguments",
        what="The method has other parameters than `self`.",
        why_bad="Nothing gives them: it reads parts and parameters of the view from `self`.",
        fix="Read what it needs from `self`, a request's parameters among it.",
        example="@computed\ndef total(self) -> int:\n    return self.order.total * self.amount",
    ),
    "TR152": CodeDoc(
        title="A computed field does not say what it returns",
        what="The method has no return annotation, or one that cannot be a field of the reply.",
        why_bad="Its value could be anything, and nobody could rely on it (req 6.2).",
        fix="Annotate a model, a number, text, or whatever pydantic knows.",
        example="@computed\ndef total(self) -> Money: ...",
    ),
    "TR153": CodeDoc(
        title="A weak computed field has nothing to stand in",
        what="It is weak, its type does not allow null, and there is no default that fits.",
        why_bad="When its code fails, the reply has no value to use (req 8.1).",
        fix="Allow null, or give a default of the type it returns.",
        example="@computed(default=0)\ndef total(self) -> int: ...",
    ),
    "TR154": CodeDoc(
        title="The bounds of computed fields do not fit",
        what="`limit` or `time` is out of range, or the view has no computed fields.",
        why_bad="Without bounds, requests would pile up behind code that does not return.",
        fix="Leave it out for the defaults, or write `computed=Computed(time=..., limit=...)`.",
        example='@service.view("/orders/{id}", computed=Computed(time="5ms", limit=64))',
    ),
    "TR155": CodeDoc(
        title="A computed field has no place in the reply",
        what="Its name is one of the reply already, or the reply is a list without names.",
        why_bad="A reply with one key twice means what its reader happens to take.",
        fix="Rename the method, or the part; a `collection` has no computed fields.",
        example="@computed\ndef order_total(self) -> int: ...",
    ),
}
