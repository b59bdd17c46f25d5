"""What each error code means, for `tailrace explain TR104`.

The failure prevented: a code that only its author understands. Every code that can be raised has a
page here, and every page is raised by a test.
"""

from __future__ import annotations

from tailrace._codes import (
    admission,
    bodies,
    caches,
    computed,
    config,
    handlers,
    models,
    parameters,
    parts,
    services,
    templates,
    tracing,
)
from tailrace._codes.page import CodeDoc

__all__ = ["CODES", "CodeDoc"]

CODES: dict[str, CodeDoc] = dict(
    sorted(
        {
            **services.PAGES,
            **caches.PAGES,
            **parameters.PAGES,
            **templates.PAGES,
            **bodies.PAGES,
            **parts.PAGES,
            **models.PAGES,
            **admission.PAGES,
            **config.PAGES,
            **handlers.PAGES,
            **computed.PAGES,
            **tracing.PAGES,
        }.items()
    )
)
