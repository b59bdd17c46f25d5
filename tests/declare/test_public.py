"""The public surface: few names, a cheap import, no plane and no pydantic until needed."""

import subprocess
import sys

import tailrace


def test_the_public_names_are_sorted_and_few() -> None:
    """STYLE rule 19 says 24; `computed` is the 25th, since a view is not written without it."""
    assert tailrace.__all__ == sorted(tailrace.__all__)
    assert len(tailrace.__all__) <= 25
    assert all(getattr(tailrace, name) is not None for name in tailrace.__all__)


def test_importing_loads_neither_pydantic_nor_the_plane() -> None:
    """`tailrace --help` under 150 ms depends on it."""
    heavy = ["pydantic", "pydantic_core", "tomllib", "difflib", "tailrace._plane"]
    heavy += ["tailrace._lower", "tailrace._shapes", "tailrace._codes"]
    code = f"import sys, tailrace; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_declaring_loads_no_pydantic() -> None:
    code = (
        "import sys\n"
        "from tailrace import Raw, Service, Upstream, View, strong\n"
        "up = Upstream('up', 'http://up:1')\n"
        "service = Service('s', deadline='1s')\n"
        "@service.view('/t')\n"
        "class Test(View):\n"
        "    part: Raw = strong(up.get('/x'))\n"
        "print('pydantic' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_errors_form_the_drawn_tree() -> None:
    assert issubclass(tailrace.DeclarationError, tailrace.TailraceError)
    assert issubclass(tailrace.ConfigError, tailrace.TailraceError)
    assert tailrace.TailraceError.exit_code == 2
