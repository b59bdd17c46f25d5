"""Models, and what the plane can check of them.

The failure prevented: a model that Python validates one way and the plane another.
"""

from __future__ import annotations

from typing import Final

from tailrace._codes.page import CodeDoc

PAGES: Final[dict[str, CodeDoc]] = {
    "TR120": CodeDoc(
        title="A model runs Python code",
        what=(
            "A validator, serializer, computed field or constructor of the model is Python code."
        ),
        why_bad="The plane runs no Python per request, so the code would silently not run.",
        fix=(
            "Use limits the plane knows, or `Raw` to pass the JSON on unchecked. "
            '`check="python"` arrives with handlers.'
        ),
        example="quantity: int = Field(ge=1)  # instead of a field_validator",
    ),
    "TR121": CodeDoc(
        title="A type cannot be checked by the plane",
        what=("The type has no strict JSON form here (bytes, timedelta, URLs, non-text keys ...)."),
        why_bad="JSON would be passed on that Python would read differently.",
        fix="Use a plain JSON type, or `Raw`.",
        example="homepage: str",
    ),
    "TR122": CodeDoc(
        title="A union cannot be told apart",
        what="Two variants have the same JSON type, or a discriminator is not text.",
        why_bad="The plane does not guess which variant was meant.",
        fix="Use a discriminator, or one variant per JSON type.",
        example='Annotated[Card | Cash, Field(discriminator="kind")]',
    ),
    "TR123": CodeDoc(
        title="A limit cannot be checked by the plane",
        what="A limit or setting of the field has no counterpart in the blueprint.",
        why_bad="It would silently not apply.",
        fix=("Remove it, or use ge, gt, le, lt, multiple_of, min_length, max_length or pattern."),
        example="name: str = Field(max_length=80)",
    ),
    "TR124": CodeDoc(
        title="A type cannot be built",
        what="pydantic refuses the type; its own message is shown.",
        why_bad="Nothing is known about the value.",
        fix="Change the type as the message says.",
        example="from typing_extensions import TypedDict  # Python 3.11",
    ),
    "TR125": CodeDoc(
        title="A field's default is not JSON",
        what="The default of a model's field cannot be written as JSON.",
        why_bad="A missing field is filled with it in the reply.",
        fix="Use text, numbers, booleans, null, lists or models.",
        example="tags: list[str] = []",
    ),
}
