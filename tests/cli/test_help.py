"""Help: fast, complete, and 80 columns wide."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module

import pytest
from running import Run, clean_environment
from tailrace.cli import VERBS, usage
from tailrace.cli._command import arguments_of, command_of, options_of
from tailrace.cli._output import VARIABLES

# What the first answer must not wait for. Counted as modules: a clock would measure the machine.
SLOW = {"typer", "rich", "pydantic", "pydantic_core", "click", "asyncio", "http", "difflib"}
# Options that say what to do now; a variable would do it again each time.
ACTIONS = {
    "demo": {"hold"},
    "explain": {"rate", "origin", "codes"},
    "fault": {
        *("hang", "errors", "reset", "slow_body", "jitter", "body", "share", "status"),
        *("latency", "off", "listing"),
    },
    "openapi": {"out", "check"},
    "profile": {"seconds", "output", "python"},
    "tap": {"view", "slower_than", "troubled", "count"},
    "why": {"view"},
}

TOP = """\
tailrace: aggregation services with a bounded tail

Examples:
  tailrace demo
  tailrace serve service.py
  tailrace explain service.py --origin

Usage: tailrace VERB [OPTIONS]          tailrace VERB --help

Verbs:
  demo        an order service under load, one fault half-way, measured
  serve       run a service
  explain     stages, worst case and limits; or what a code means
  openapi     the service's contract: OpenAPI 3.1, or a page to read
  top         a running service as a live table of figures
  tap         finished requests of a running service, as they end
  profile     processor time, memory, waits or a trace of a running service
  why         which parts cause the tail, and what to do about it
  fault       make a simulated upstream slow, failing, silent or well again
  doctor      check what this machine allows
  completion  completion script for bash, zsh or fish

Options of every verb:
  --json             results as JSON, with format_version   [TAILRACE_JSON=1]
  --color WHEN       auto, always or never                  [TAILRACE_COLOR]
  -v, --verbose      show the traceback of an error
  -h, --help         help of the verb
  --version          versions of tailrace, Python and the platform

Exit codes: 0 done, 1 a limit failed, 2 usage or configuration, 3 environment,
            4 result invalid, 70 internal error, 130/143 interrupted/terminated

tailrace never phones home: no telemetry, no network of its own.
"""

SERVE = """\
tailrace serve: run a service

Examples:
  tailrace serve service.py
  tailrace serve shop.service:service --port 8081 --access-log off
  TAILRACE_UPSTREAMS_ORDERS_URL=http://orders:9001 tailrace serve app.py

Usage: tailrace serve [APP] [OPTIONS]

  APP                    MODULE:ATTR or FILE.py[:ATTR]; left out: service.py,
                         app.py or main.py. [TAILRACE_APP]

Listening:
  --host HOST            Address (127.0.0.1). [TAILRACE_LISTEN_HOST]
  --port N               Port (8080); 0: any. [TAILRACE_LISTEN_PORT]
  --admin-host HOST      Address of health and metrics.
                         [TAILRACE_LISTEN_ADMIN_HOST]
  --admin-port N         Their port (9900); 0: any. [TAILRACE_LISTEN_ADMIN_PORT]
  --workers N            Threads (usable CPUs). [TAILRACE_LISTEN_WORKERS]

Access log:
  --access-log PATH      A file, - (stdout) or off. [TAILRACE_ACCESS_LOG_PATH]
  --log-format FORMAT    json (default) or text. [TAILRACE_ACCESS_LOG_FORMAT]

Options:
  --config FILE          TOML overrides (tailrace.toml). [TAILRACE_CONFIG]
  --drain TIME           Patience for requests after SIGTERM (15s).
                         [TAILRACE_LIMITS_DRAIN]
  --watch on|off         off: a changed TOML file waits for SIGHUP.
                         [TAILRACE_WATCH] [default: on]
  --protections on|off   off removes every limit; lab only.
                         [TAILRACE_PROTECTIONS] [default: on]

Options of every verb:
  --json             results as JSON, with format_version   [TAILRACE_JSON=1]
  --color WHEN       auto, always or never                  [TAILRACE_COLOR]
  -v, --verbose      show the traceback of an error
  -h, --help         help of the verb
"""


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("help",)])
def test_the_top_level_help(words: tuple[str, ...], run: Run) -> None:
    ended = run(*words)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == TOP


def test_the_help_of_serve(run: Run) -> None:
    assert run("serve", "--help").out == SERVE
    assert run("help", "serve").out == SERVE


def test_help_imports_nothing_slow() -> None:
    """`tailrace --help` answers at once, because of what it does not load."""
    program = (
        "import sys\n"
        "from tailrace.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: assert end.code == 0\n"
        "print(*sys.modules, file=sys.stderr)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(ended.stderr.split())
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    added = loaded - set(bare.stdout.split())
    assert not SLOW & {name.partition(".")[0] for name in added}
    assert "tailrace._plane" not in added


@pytest.mark.parametrize("verb", VERBS)
def test_help_leads_with_purpose_and_examples_and_fits(verb: str, run: Run) -> None:
    ended = run(verb, "--help")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    module = import_module(f"tailrace.cli.{verb}")
    assert lines[0] == f"tailrace {verb}: {module.PURPOSE}"
    assert VERBS[verb] == module.PURPOSE
    assert lines[2] == "Examples:"
    assert [line.strip() for line in lines[3:6]] == [*module.EXAMPLES]
    assert lines[6] == ""
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("verb", VERBS)
def test_every_setting_has_a_variable_and_help_shows_it(verb: str, run: Run) -> None:
    shown = run(verb, "--help").out
    module = import_module(f"tailrace.cli.{verb}")
    own = getattr(module, "VARIABLES", {})
    command = command_of(verb, module)
    for option in options_of(command):
        variable = option.envvar or own.get(option.name)
        if option.name in ACTIONS.get(verb, set()):
            assert variable is None
            continue
        assert variable, f"{verb} --{option.name} has no variable"
        assert f"[{variable}]" in shown
        # What is no option of services must be known as the command line's own.
        assert option.name in own or variable in VARIABLES or "_LISTEN_" in variable
    for argument in arguments_of(command):
        assert argument.envvar in (None, *VARIABLES)


def test_the_usage_fits() -> None:
    assert max(map(len, usage().splitlines())) <= 80


def test_versions(run: Run) -> None:
    ended = run("--version")
    assert ended.code == 0
    assert ended.out.startswith("tailrace ")
    assert " build) · python 3." in ended.out
    facts = json.loads(run("--version", "--json").out)
    assert facts["format_version"] == 1
    assert {"tailrace", "profile", "python", "platform"} < set(facts)
