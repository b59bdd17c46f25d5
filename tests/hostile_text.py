"""Two hundred names that are HTML, script or terminal control (RELIABILITY S30).

Prevents a list of three well-known strings: every way into markup is tried in every wrapping that
has ever opened one. Whatever runs calls `hit()`; whatever loads asks `evil.test`.
"""

from __future__ import annotations

from typing import Final

RUNS: Final = (
    "<script>hit()</script>",
    "<img src=x onerror=hit()>",
    "<svg onload=hit()>",
    "<svg><script>hit()</script></svg>",
    "<iframe srcdoc='<script>parent.hit()</script>'></iframe>",
    "<iframe src=javascript:parent.hit()></iframe>",
    "<details open ontoggle=hit()>x</details>",
    "<body onload=hit()>",
    "<input autofocus onfocus=hit()>",
    "<video><source onerror=hit()></video>",
    "<a href=javascript:hit() autofocus onfocus=hit()>x</a>",
    "<object data=javascript:hit()></object>",
    "<math><mtext><img src=x onerror=hit()></mtext></math>",
    "<template><script>hit()</script></template>",
    "<style>@import '//evil.test/x.css';</style>",
    "<link rel=stylesheet href=//evil.test/x.css>",
    "<meta http-equiv=refresh content='0;url=//evil.test/'>",
    "<base href=//evil.test/>",
    "<form action=//evil.test/><button autofocus onfocus=hit()>x</button></form>",
    "javascript:hit()",
    "{{constructor.constructor('hit()')()}}",
    "${hit()}",
    "\x1b[2J\x1b]0;hit\x07\x9b31m",
    "\r\n\x00\x08\x7f\u2028\u2029\u0085",
    "\u202ehit\u2066\u200b\ufeff\u00ad",
)
WRAPPINGS: Final = (
    "{}",
    '"><{}',
    "'>{}",
    "</title></style></textarea>{}",
    "--><!--{}",
    "]]>{}",
    "&lt;{}&#60;",
    "%3c%2f{}\\u003c",
)
NAMES: Final = tuple(wrapping.format(run) for wrapping in WRAPPINGS for run in RUNS)
assert len(set(NAMES)) == 200
