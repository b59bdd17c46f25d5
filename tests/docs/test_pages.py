"""The pages say what the code says: names, defaults, codes and examples.

The failure prevented: a reference that was right once. Tables written from the sources must be
fresh; those written by hand are compared with the sources here, by regular expressions, so that
nothing has to be built. Services in the pages must become blueprints.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import tailrace
from tailrace import _options, dependencies, policies, service, upstream
from tailrace._codes import CODES
from tailrace.cli import VERBS
from tailrace.cli._exit import Exit
from tailrace.quantities import duration_ms, share, size_bytes

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
CRATES = ROOT / "crates"
PAGES = sorted([*DOCS.rglob("*.md"), ROOT / "COMPARE.md"])
FENCE = re.compile(r"^( *)```([^\n]*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def rust(path: str) -> str:
    return (CRATES / path).read_text(encoding="utf-8")


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def loaded(path: Path) -> ModuleType:
    """A script of the project as a module."""
    name = f"_{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def rows(text: str, heading: str) -> dict[str, list[str]]:
    """The first table below a heading, by the code in its first column."""
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in section.splitlines() if line[:1] == "|"]
    return {row[0].strip(" `"): [cell.strip(" `") for cell in row[1:]] for row in cells[2:]}


# Written from the sources.


def test_generated_tables_are_fresh() -> None:
    generate = loaded(DOCS / "generate.py")
    used: set[str] = set()
    for path in DOCS.rglob("*.md"):
        text = path.read_text(encoding="utf-8")
        used |= set(re.findall(r"<!-- begin:(\w+) -->", text))
        assert generate.written(text) == text, f"{path.name}: run python docs/generate.py"
    assert used == set(generate.TABLES)


def test_every_reason_has_its_row_and_its_paragraph() -> None:
    text, source = page("reasons.md"), rust("tailrace-plane/src/reason.rs")
    codes = re.findall(r'Self::\w+ => "(\w+)"', source)
    count = re.search(r"ALL: \[Self; (\d+)\]", source)
    assert count is not None and len(codes) == int(count[1])
    table, _, prose = text.partition("<!-- end:reasons -->")
    for code in codes:
        assert f"| `{code}` | " in table, code
        assert f"`{code}`" in prose.partition("## When")[2], f"when is {code} given?"


def test_every_code_of_a_problem_is_there() -> None:
    text = page("problems.md")
    found: set[str] = set()
    for name in ("h1/refusal.rs", "h1/body.rs"):
        source = rust(f"tailrace-plane/src/{name}").partition("fn words")[2]
        found |= set(re.findall(r'Self::\w+ => (?:\{\s*)?\(\s*"(\w+)",', source))
    assert len(found) > 30
    pattern = r'code: "(\w+)"|bad_request\("(\w+)"\)|read_more\([^)]*"(\w+)"|, 499, 0, "(\w+)"'
    for path in sorted((CRATES / "tailrace-plane" / "src").rglob("*.rs")):
        source = path.read_text(encoding="utf-8").partition("#[cfg(test)]")[0]
        for groups in re.findall(pattern, source):
            found |= set(groups) - {"", "linger"}
    assert {"no_route", "bad_parameter", "head_timeout", "client_gone", "path_not_ascii"} <= found
    assert [code for code in sorted(found) if f"`{code}`" not in text] == []


def test_every_limit_of_admission_explains_its_code() -> None:
    source = rust("tailrace-plane/src/admission/refusal.rs")
    body = source.partition("pub fn code(")[2].partition("\n    }\n")[0]
    codes = re.findall(r'=> "(\w+)"', body)
    assert len(codes) == 6
    asked = (DOCS / "concepts" / "admission.md").read_text(encoding="utf-8")
    for code in codes:
        assert f"| `{code}` | " in page("problems.md"), code
        assert f"| `{code}` |" in asked, code


def series() -> set[str]:
    """Every metric of the event catalogue."""
    return set(loaded(DOCS / "catalogue.py").metrics())


def test_every_refusal_of_an_extra_attempt_has_its_line() -> None:
    """A code in `tailrace_attempt_refusals` is explained where its policy is."""
    source = rust("tailrace-plane/src/metrics/mod.rs")
    codes = re.findall(r'"(\w+)"', source.partition("REFUSALS: ")[2].partition("];")[0])
    assert len(codes) >= 11
    pages = [(DOCS / "concepts" / name).read_text() for name in ("retry.md", "hedge.md", "rate.md")]
    assert [code for code in codes if not any(f"| `{code}` |" in text for text in pages)] == []


@pytest.mark.parametrize(("name", "code"), [("breaker", "breaker_open"), ("throttle", "throttled")])
def test_a_guard_that_refuses_explains_its_code(name: str, code: str) -> None:
    assert f'=> "{code}"' in rust("tailrace-plane/src/reason.rs")
    assert f"| `{code}` |" in (DOCS / "concepts" / f"{name}.md").read_text(encoding="utf-8")


def test_every_metric_has_a_row() -> None:
    text = page("metrics.md")
    names = series()
    assert len(names) > 20
    assert [name for name in sorted(names) if not re.search(rf"\| `{name}(_total)?`", text)] == []
    bounds = re.search(
        r"BOUNDS_S: [^=]+= \[(.*?)\]", rust("tailrace-plane/src/metrics/histogram.rs"), re.S
    )
    assert bounds is not None
    listed = " ".join(f"{float(one):g}" for one in bounds[1].split(",") if one.strip())
    assert listed in " ".join(text.split())


def test_metrics_that_pages_name_exist() -> None:
    known = series() | {"tailrace_plane"}  # The fixture of `tailrace.testing`.
    for path in PAGES:
        pattern = r"\b(?:tailrace_|http_server_|http_client_)[a-z_]+\b"
        for name in re.findall(pattern, path.read_text(encoding="utf-8")):
            bare = re.sub(r"_(total|bucket|sum|count)$", "", name)
            assert bare in known or name in known, f"{short(path)} names {name}"


def test_every_error_code_has_a_row_and_every_named_code_exists() -> None:
    assert [code for code in CODES if f"| `{code}` |" not in page("errors.md")] == []
    for path in PAGES:
        for code in re.findall(r"\bTR\d{3}\b", path.read_text(encoding="utf-8")):
            assert code in CODES, f"{short(path)} names {code}"


# Written by hand.


def defaults(structure: str) -> dict[str, str]:
    """`field: value` of a Rust `Default`."""
    source = rust("tailrace-blueprint/src/limits.rs")
    body = source.partition(f"impl Default for {structure} ")[2].partition("\n}\n")[0]
    return dict(re.findall(r"^ {12}(\w+): (.+?),$", body, re.MULTILINE))


def number(text: str) -> int:
    product = 1
    for factor in text.replace("_", "").split("*"):
        product *= int(factor)
    return product


@pytest.mark.parametrize("section", [*_options.SECTIONS, *_options.NAMED])
def test_every_option_has_a_row_with_its_variable(section: str) -> None:
    named = section in _options.NAMED
    options = _options.NAMED[section] if named else _options.SECTIONS[section]
    table = rows(page("limits.md"), f"[{section}.NAME]" if named else f"[{section}]")
    assert list(table) == list(options)
    owner = f"{section}_NAME" if named else section
    for key, (_, variable, effect) in table.items():
        assert variable == f"{_options.PREFIX}{owner}_{key}".replace(".", "_").upper()
        assert effect


def test_defaults_of_limits_are_those_of_the_plane() -> None:
    table, known = rows(page("limits.md"), "[limits]"), defaults("Limits")
    options = _options.SECTIONS["limits"]
    assert {option.field or key for key, option in options.items()} == set(known)
    for key, option in options.items():
        field, shown = option.field or key, table[key][0]
        if shown == "auto":
            assert known[field] == "None", key
        elif field.endswith("_ms"):
            assert duration_ms(shown, zero=True) == number(known[field]), key
        elif field.endswith("_bytes"):
            assert size_bytes(shown) == number(known[field]), key
        else:
            assert int(shown) == number(known[field]), key


def test_defaults_of_the_other_sections_are_those_of_the_code() -> None:
    text = page("limits.md")
    for section, structure in (("listen", "Listen"), ("envelope", "Envelope")):
        known = defaults(structure)
        for key, (shown, *_) in rows(text, f"[{section}]").items():
            value = known[key].removesuffix(".to_owned()").strip('"')
            absent = "auto" if key == "workers" else "none"
            assert shown == (absent if value == "None" else value), key
    log = rows(text, "[access_log]")
    assert log["ring"][0] == defaults("AccessLog")["ring"]
    assert log["format"][0] == defaults("AccessLog")["format"].rpartition("::")[2].lower()
    assert rows(text, "[service]")["fanout"][0] == str(service.FANOUT_DEFAULT)
    table = rows(text, "[upstreams.NAME]")
    assert table["timeout"][0] == upstream.TIMEOUT_DEFAULT
    assert table["bulkhead"][0] == table["bulkhead.limit"][0] == str(upstream.BULKHEAD_DEFAULT)
    usual: dict[str, Any] = {
        "retry": policies.Retry(),
        "hedge": policies.Hedge(),
        "breaker": policies.Breaker(),
        "throttle": policies.Throttle(),
        "adaptive": policies.AdaptiveLimit(),
        "cache": policies.Cache(ttl="none"),
    }
    for word, policy in usual.items():
        for field in dataclasses.fields(policy):
            shown = table[f"{word}.{field.name}"][0]
            value = getattr(policy, field.name)
            read = str if not isinstance(value, float) else float if value > 1 else share
            value = "off" if value is False else value
            assert read(shown) == read("none" if value is None else value), field.name
    admitted = rows(text, "[admission]")
    for word in ("shed", "brownout", "feasibility"):
        policy = getattr(policies.Admission(), word)
        assert admitted[word][0] == "on"
        for field in dataclasses.fields(policy):
            shown, value = admitted[f"{word}.{field.name}"][0], getattr(policy, field.name)
            assert (share(shown) if isinstance(value, float) else shown) == value, field.name
    for word in ("client", "clients_max", "calls_max"):
        assert admitted[word][0] == str(getattr(policies.Admission(), word))
    declared = inspect.signature(upstream.Upstream).parameters
    for word in usual:
        on = declared[word].default is not None
        assert table[word][0] == ("on" if on else "off"), word
    purse = rows(text, "[service]")["extra_attempts"][0]
    assert purse == str(service.EXTRA_ATTEMPTS_DEFAULT)
    assert "limit.max(8)" in rust("tailrace-plane/src/upstream.rs")
    fixed = rows(text, "Limits that no option changes")
    assert fixed["items of `each` (`each_max`)"][0].startswith(str(dependencies.EACH_MAX_DEFAULT))


@pytest.mark.parametrize(
    ("source", "constant", "row", "shown"),
    [
        ("call.rs", "BUDGET_MIN: Nanos = MILLI", "least time worth a call", "1 ms"),
        ("request/asked.rs", "REQUEST_ID_MAX: usize = 128", "length of a request id", "128"),
        ("access_log.rs", "PARTS_SHOWN: usize = 16", "parts in an access log line", "16"),
        ("access_log.rs", "TEXT_MAX: usize = 96", "text in an access log line", "96 bytes"),
        ("admin.rs", "CONNECTIONS_MAX: usize = 64", "admin connections", "64"),
        ("client/exchange.rs", "INTERIM_MAX: u32 = 8", "interim (1xx) answers", "8"),
        (
            "server/connection.rs",
            "AHEAD_MAX_BYTES: usize = 64 * 1024",
            "bytes read ahead",
            "64 KiB",
        ),
        ("splice/scan.rs", "STRING_MAX: usize = 1 << 20", "string in an answer", "1 MiB"),
        ("splice/scan.rs", "DIGITS_MAX: usize = 64", "digits of a number", "64"),
        ("splice/seen.rs", "KEYS_MAX: usize = 10_000", "keys of one object", "10 000"),
        ("plane.rs", "LOG_FLUSH: Duration = Duration::from_millis(50)", "", ""),
    ],
)
def test_fixed_limits_are_those_of_the_plane(
    source: str, constant: str, row: str, shown: str
) -> None:
    assert f"const {constant};" in rust(f"tailrace-plane/src/{source}"), "then say so in limits.md"
    assert re.search(rf"^\| {re.escape(row)}.*\| {re.escape(shown)}", page("limits.md"), re.M)


def test_every_public_name_and_argument_is_there() -> None:
    text = page("python.md")
    for name in tailrace.__all__:
        assert re.search(rf"`{name}\b", text) or f"## {name}\n" in text, name
    for made in (tailrace.Service, tailrace.Upstream, tailrace.strong, tailrace.weak):
        for argument in inspect.signature(made).parameters:
            assert re.search(rf"\b{argument}\b", text), f"{made.__name__}({argument}=)"


def test_every_verb_and_exit_code_is_there() -> None:
    text = page("cli.md")
    assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == list(VERBS)
    table = rows(page("exit-codes.md").replace("# Exit codes\n", "## Exit codes\n"), "Exit codes")
    assert {int(code): row[0] for code, row in table.items()} == {int(e): e.name for e in Exit}


def test_every_admin_path_is_there() -> None:
    paths = re.findall(r"^\s+GET (/\w+) ", rust("tailrace-plane/src/admin.rs"), re.MULTILINE)
    assert len(paths) >= 6
    assert [path for path in paths if f"| `{path}` |" not in page("admin.md")] == []


def test_every_fault_latency_and_option_of_the_lab_is_there() -> None:
    text = page("lab.md")
    faults = rust("tailrace-lab/src/fault.rs").partition("const KINDS")[2].partition("];")[0]
    laws = rust("tailrace-lab/src/law.rs").partition("const KINDS")[2].partition("];")[0]
    for kind, settings in re.findall(r'\("(\w+)", &\[(.*?)\]\)', faults):
        listed = rows(text, "Faults")[kind][0]
        assert all(f"`{one}`" in f"`{listed}`" for one in re.findall(r'"(\w+)"', settings)), kind
    assert [one for one in re.findall(r'"(\w+)"', laws) if f"| `{one}` |" not in text] == []
    for verb in ("upstreams", "load", "naive"):
        source = rust(f"tailrace-lab/src/{verb}/mod.rs").partition("];")[0]
        options = re.findall(r'^\s+\(?"(--[\w-]+)",', source, re.MULTILINE)
        assert len(options) >= 4
        assert [one for one in options if one not in rows(text, verb)] == [], verb


# Pages and examples.


def test_links_lead_somewhere_and_the_index_names_every_page() -> None:
    tool = loaded(ROOT / "tools" / "docs.py")
    tree = tool.Tree(ROOT)
    assert [str(v) for path in PAGES for v in tool.links(tree, short(path))] == []
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    linked = {(DOCS / target).resolve() for target in re.findall(r"\]\(([^)#]+)", index)}
    assert [short(path) for path in PAGES if path not in linked and path.name != "README.md"] == []


def test_prose_fits_a_hundred_columns() -> None:
    for path in PAGES:
        if path.name.startswith("requirements"):
            continue
        text = FENCE.sub("", path.read_text(encoding="utf-8"))
        wide = [line for line in text.splitlines() if len(line) > 100 and line[0] != "|"]
        assert wide == [], short(path)


def blocks() -> list[tuple[str, str, str]]:
    """(page, info, code) of every Python block, README included."""
    found = []
    for path in [*PAGES, ROOT / "README.md"]:
        for _, info, code in FENCE.findall(path.read_text(encoding="utf-8")):
            if info.split()[:1] == ["python"]:
                is_service = "service" in info.split() or "@service.view" in code
                found.append((short(path), "service" if is_service else "", code))
    return found


@pytest.mark.parametrize(("where", "kind", "code"), blocks())
def test_python_compiles_and_whole_services_become_blueprints(
    where: str, kind: str, code: str
) -> None:
    ast.parse(code, where)
    if kind != "service":
        return
    module = ModuleType("page_example")
    sys.modules[module.__name__] = module
    try:
        exec(compile(code, where, "exec"), module.__dict__)
        made = [value for value in vars(module).values() if isinstance(value, tailrace.Service)]
        assert len(made) == 1
        assert made[0].blueprint()["views"][0]["parts"]
    finally:
        del sys.modules[module.__name__]


def test_there_are_whole_services_to_try() -> None:
    places = [where for where, kind, _ in blocks() if kind == "service"]
    assert "README.md" in places and "docs/tutorial.md" in places and len(places) >= 5
