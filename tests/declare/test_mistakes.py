"""Every mistake a declaration can have, its code, its frame and its text.

Each file in `mistakes/` is a user's module with one mistake, named by its code; beside
it is the text that is read. A change of wording shows as a diff of these texts.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from tailrace import DeclarationError
from tailrace.errors import CODES

MISTAKES = Path(__file__).parent / "mistakes"
CASES = sorted(MISTAKES.glob("*.py"))
CALL_CODES = {"TR142"}  # Raised by a call at run time: tests/handlers/test_registry.py.
CONFIG_CODES = {f"TR20{n}" for n in range(1, 7)}  # Sampled by tests/declare/test_overrides.py.


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # As an import does; `inspect` finds a model's file by it.
    spec.loader.exec_module(module)
    return module


def declaration_error(path: Path) -> DeclarationError:
    module = load(path)
    with pytest.raises(DeclarationError) as caught:
        module.service.blueprint()
    return caught.value


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_a_mistake_is_shown_as_expected(
    path: Path, update_snapshots: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One mistake gives one problem, with its code, pointing into the user's file."""
    monkeypatch.chdir(MISTAKES)
    error = declaration_error(path)
    assert [problem.code for problem in error.problems] == [path.stem[:5]]
    place = error.problems[0].place
    assert place is not None
    assert Path(place.file) == path
    assert place.line > 1
    expected = path.with_suffix(".txt")
    rendered = error.render() + "\n"
    if update_snapshots:
        expected.write_text(rendered)
    assert rendered == expected.read_text()


def test_every_code_has_a_page_and_a_sample() -> None:
    """`tailrace explain CODE` knows whatever is raised, and nothing else."""
    sampled = {path.stem[:5] for path in CASES} | CONFIG_CODES | CALL_CODES
    assert sampled == set(CODES)
    for doc in CODES.values():
        assert all((doc.title, doc.what, doc.why_bad, doc.fix, doc.example))


def test_no_expected_text_is_left_over() -> None:
    assert {path.stem for path in MISTAKES.glob("*.txt")} == {path.stem for path in CASES}


def test_all_mistakes_of_a_service_are_reported_at_once(tmp_path: Path) -> None:
    """Three mistakes, one run; the one the others may follow from comes last."""
    source = tmp_path / "three.py"
    source.write_text(
        "from tailrace import Raw, Service, Upstream, View, strong\n"
        "orders = Upstream('orders', 'https://orders:9001', timeout=80)\n"
        "service = Service('shop', deadline='150ms')\n"
        "@service.view('/orders/{id}')\n"
        "class Order(View):\n"
        "    order: Raw = strong(orders.get('/orders/{od}'))\n"
    )
    error = declaration_error(source)
    assert [problem.code for problem in error.problems] == ["TR010", "TR001", "TR051"]
    rendered = error.render()
    assert rendered.index("TR051") < rendered.index("TR001") < rendered.index("TR010")


def test_at_most_ten_are_shown(tmp_path: Path) -> None:
    parts = [f"    p{n}: Raw = strong(orders.get('/p/{{x{n}}}'))\n" for n in range(12)]
    source = tmp_path / "many.py"
    source.write_text(
        "from tailrace import Raw, Service, Upstream, View, strong\n"
        "orders = Upstream('orders', 'http://orders:9001')\n"
        "service = Service('shop', deadline='150ms')\n"
        "@service.view('/orders/{id}')\n"
        "class Order(View):\n" + "".join(parts)
    )
    error = declaration_error(source)
    assert len(error.problems) == 12
    rendered = error.render()
    assert rendered.count("error[") == 10
    assert rendered.startswith("2 more not shown")


def test_colours_only_when_asked() -> None:
    error = declaration_error(MISTAKES / "TR104_weak_without_fallback.py")
    assert "\x1b[" not in error.render()
    assert "\x1b[" in error.render(color=True)


def test_a_problem_is_also_data() -> None:
    """`--json` gets file, line and column, as the frame shows them."""
    error = declaration_error(MISTAKES / "TR001_timeout_without_unit.py")
    row = error.problems[0].as_json()
    assert row["code"] == "TR001"
    assert row["file"].endswith("TR001_timeout_without_unit.py")
    assert row["column"] == 51
    assert row["helps"] == ['did you mean "80ms"?']
