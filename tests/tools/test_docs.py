"""Links and examples of the pages are checked."""

import pytest
from sandbox import Write

import docs

OTHER = "# A title, with `code`\n\n```\n# no title\n```\n## Twice\n## Twice\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[a](other.md)", None),
        ("[a](other.md#a-title-with-code)", None),
        ("[a](other.md#twice-1)", None),
        ("[a](../page.md) [b](#here)\n# Here\n", None),
        ("[a](https://example.org/missing)", None),
        ("`[a](missing.md)`\n```\n[a](missing.md)\n```\n", None),
        ("```python\nx = 1\n```\n", None),
        ("[a](missing.md)", "docs/page.md:1: missing.md leads nowhere"),
        ("\n[a](other.md#no-title)", "docs/page.md:2: docs/other.md has no heading #no-title"),
        ("[a](#away)", "docs/page.md has no heading #away"),
        ("text\n```python\nx = \n```\n", "docs/page.md:3: the example is not Python"),
    ],
)
def test_a_page_holds_or_says_where_not(
    project: Write, capsys: pytest.CaptureFixture[str], text: str, words: str | None
) -> None:
    root = project({"page.md": "a", "docs/page.md": text, "docs/other.md": OTHER})
    assert docs.main([str(root)]) == (1 if words else 0)
    out = capsys.readouterr().out
    assert (words or "0 violations") in out
