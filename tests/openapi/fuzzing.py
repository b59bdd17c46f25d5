"""Schemathesis as a process: every phase, every check, and what it found.

The failure prevented: a fuzz run that says "0 failures" because it asked for nothing, or only ever
saw 404. The report is read back: how many cases were sent and which statuses came is a result too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# JSON Schema calls 2.0 an integer. The plane, as pydantic in strict mode, does not; no schema can
# say so, and such a body is therefore no case.
HOOKS = """
import schemathesis

def plain(value):
    if isinstance(value, dict):
        return all(map(plain, value.values()))
    if isinstance(value, list):
        return all(map(plain, value))
    return not (isinstance(value, float) and value.is_integer())

@schemathesis.hook
def filter_body(context, body):
    return plain(body)
"""


@dataclass
class Fuzzed:
    """What a run did."""

    code: int
    out: str
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def cases(self) -> int:
        return sum(self.statuses.values())


def known_values(document: dict[str, Any], name: str, values: list[str]) -> dict[str, Any]:
    """`document` where parameter `name` is often one of `values`, and else anything it allows."""
    found: dict[str, Any] = json.loads(json.dumps(document))
    for methods in found["paths"].values():
        for operation in methods.values():
            for one in operation.get("parameters", ()):
                if one["name"] == name:
                    one["schema"] = {"anyOf": [{"enum": values}, one["schema"]]}
    return found


def fuzz(document: dict[str, Any], url: str, examples: int, folder: Path, *words: str) -> Fuzzed:
    """Runs all phases with about `examples` per operation, seeded, one request at a time."""
    schema, report = folder / "openapi.json", folder / "report.ndjson"
    schema.write_text(json.dumps(document))
    # Headers and query keys that nobody declared are ignored, as HTTP would have it.
    (folder / "schemathesis.toml").write_text("[generation]\nallow-extra-parameters = false\n")
    (folder / "hooks.py").write_text(HOOKS)
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", str(schema), "--url", url),
            *("--max-examples", str(examples), "--seed", "31", "--no-color", "--checks", "all"),
            *("--continue-on-failure", "--report", "ndjson", "--report-ndjson-path", str(report)),
            *("--generation-database", "none", "--request-timeout", "60", *words),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(folder)},
    )
    fuzzed = Fuzzed(ended.returncode, ended.stdout + ended.stderr)
    for line in report.read_text().splitlines() if report.exists() else ():
        count(json.loads(line), fuzzed.statuses)
    return fuzzed


def count(event: Any, statuses: Counter[int]) -> None:
    """Adds the status of every response in an event of the report."""
    if isinstance(event, dict):
        if "status_code" in event:
            statuses[int(event["status_code"])] += 1
        for value in event.values():
            count(value, statuses)
    elif isinstance(event, list):
        for value in event:
            count(value, statuses)
