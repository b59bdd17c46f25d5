"""Config files, environment variables and flags.

The failure prevented: a key that is ignored.
"""

from __future__ import annotations

from typing import Final

from tailrace._codes.page import CodeDoc

PAGES: Final[dict[str, CodeDoc]] = {
    "TR201": CodeDoc(
        title="A key, table or option is unknown",
        what="The config names something that does not exist.",
        why_bad="A misspelt limit that is ignored is no limit.",
        fix="Use the name that is suggested.",
        example=('[limits]\ndrain = "15s"'),
    ),
    "TR202": CodeDoc(
        title="An environment variable is unknown",
        what="A variable starts with `TAILRACE_` but sets nothing.",
        why_bad="It would be ignored without a word.",
        fix="Use the name that is suggested, or unset it.",
        example="TAILRACE_UPSTREAMS_ORDERS_TIMEOUT=80ms",
    ),
    "TR203": CodeDoc(
        title="A value is of the wrong kind",
        what="A port is text, a table is a number, two keys say the same thing, and so on.",
        why_bad="The option cannot have this value.",
        fix="Write the kind that is asked for.",
        example=("[listen]\nport = 8080"),
    ),
    "TR204": CodeDoc(
        title="The file is not TOML",
        what="The config file cannot be parsed.",
        why_bad="Nothing in it could be applied.",
        fix="Correct the line that is shown; text needs quotes.",
        example='timeout = "80ms"',
    ),
    "TR205": CodeDoc(
        title="The config names an unknown upstream or view",
        what="A table is about an upstream or view that the service does not have.",
        why_bad="The override would apply to nothing.",
        fix="Use a declared name.",
        example=('[upstreams.orders]\nurl = "http://10.0.0.7:9001"'),
    ),
    "TR206": CodeDoc(
        title="The config file cannot be read",
        what="The file that was asked for is missing, or not readable text.",
        why_bad="The service would run with other limits than intended.",
        fix="Give the path of a readable file.",
        example="tailrace serve app:service --config tailrace.toml",
    ),
}
