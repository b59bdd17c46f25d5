"""From a declared type to a shape the plane can check.

The failure prevented: a model that Python validates one way and the plane another. The pydantic core
schema of a type is walked once at boot; each kind has one function here and one validator in Rust.
What the plane cannot check (custom validators, transformations, unions that JSON cannot tell apart)
is an error at declaration, never a silent `any`. JSON is strict: no coercion (req 6.1, 6.2).

    table     the shapes of one blueprint, shared and possibly recursive
    walk      dispatch over core schema kinds, definitions and references
    scalars   text, numbers, literals and enums        containers  lists, tuples, dicts
    objects   models, dataclasses, typed dicts         unions      optional, unions, tagged unions
    values    defaults as JSON
"""

from tailrace._shapes.table import Shapes
from tailrace._shapes.walk import Trail, Walk, type_name

__all__ = ["Shapes", "Trail", "Walk", "type_name"]
