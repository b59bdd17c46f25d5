"""Models in and out of Python code: from the plane's JSON, and back to it.

The failure prevented: a result that reaches the client in another shape than its handler declares.
pydantic models, dataclasses and whatever else pydantic knows go through pydantic; `msgspec.Struct`
through msgspec; `bytes` is JSON as it stands.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

Decode: TypeAlias = Callable[[bytes], Any]
Encode: TypeAlias = Callable[[Any], bytes]


class UnfitError(Exception):
    """JSON that is valid and not the declared model."""


def is_struct(model: Any) -> bool:
    """Whether `model` is a `msgspec.Struct`; msgspec need not be installed."""
    return isinstance(model, type) and hasattr(model, "__struct_fields__")


def decoder(model: Any, *, own_names: bool = False) -> Decode:
    """Makes a model of the plane's JSON. Raises `UnfitError`.

    With `own_names` fields are called as the model calls them, as in what the plane projects, and
    not by their aliases alone.
    """
    if model is bytes:
        return _same
    if is_struct(model):
        return _struct_decoder(model)
    from pydantic import BaseModel, TypeAdapter, ValidationError

    if isinstance(model, type) and issubclass(model, BaseModel):
        validator: Any = model.__pydantic_validator__
    else:
        validator = TypeAdapter(model).validator
    validate = validator.validate_json
    if own_names:
        validate = partial(validate, by_alias=True, by_name=True)

    def decode(json: bytes) -> Any:
        try:
            return validate(json)
        except ValidationError as error:
            raise UnfitError(str(error)) from error

    return decode


def _same(json: bytes) -> bytes:
    return json


def _struct_decoder(model: Any) -> Decode:
    import msgspec

    own = msgspec.json.Decoder(model)

    def decode(json: bytes) -> Any:
        try:
            return own.decode(json)
        except msgspec.ValidationError as error:
            raise UnfitError(str(error)) from error

    return decode


def encoder(model: Any) -> Encode:
    """Makes JSON of what a handler returns; what is not the declared model is an error."""
    if model is bytes:
        return _bytes
    if is_struct(model):
        return _struct_encoder(model)
    from pydantic import BaseModel, TypeAdapter

    adapter: Any = TypeAdapter(model)
    exact = model if isinstance(model, type) and issubclass(model, BaseModel) else None
    write = adapter.serializer.to_json
    check = adapter.validator.validate_python

    def encode(value: Any) -> bytes:
        if type(value) is not exact:
            value = check(value)
        written: bytes = write(value, by_alias=True)
        return written

    return encode


def _bytes(value: Any) -> bytes:
    if type(value) is not bytes:
        raise TypeError(f"the handler is declared `-> bytes` and returned {type(value).__name__}")
    return value


def _struct_encoder(model: Any) -> Encode:
    import msgspec

    own = msgspec.json.Encoder()

    def encode(value: Any) -> bytes:
        if not isinstance(value, model):
            value = msgspec.convert(value, model)
        written: bytes = own.encode(value)
        return written

    return encode


def json_schema(model: Any) -> dict[str, Any]:
    """What `encoder` makes, as JSON Schema; anything, where only Python knows."""
    if model is bytes or is_struct(model):
        return {}
    from pydantic import TypeAdapter

    found: dict[str, Any] = TypeAdapter(model).json_schema(mode="serialization", by_alias=True)
    return found


def to_json(value: Any) -> bytes:
    """A JSON body: a model, or a value as Python has it."""
    if is_struct(type(value)):
        import msgspec

        packed: bytes = msgspec.json.encode(value)
        return packed
    from pydantic_core import to_json as write

    return write(value, by_alias=True)


def text(value: Any) -> bytes | None:
    """A value as it stands in a template; `None` leaves a query pair or header out."""
    kind = type(value)
    if kind is str:
        return value.encode()  # type: ignore[no-any-return]
    if kind is int:
        return b"%d" % value
    if value is None:
        return None
    return _rare_text(value).encode()


def _rare_text(value: Any) -> str:
    import datetime
    from decimal import Decimal
    from enum import Enum
    from uuid import UUID

    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, str | int | float | Decimal | UUID):
        return str(value)
    raise TypeError(
        f"{type(value).__name__} cannot stand in a call's template; "
        "give text, a number, a date, an Enum or a UUID"
    )
