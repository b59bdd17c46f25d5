"""Live configuration: the same declaration under other limits, while requests run.

The failure prevented: a limit that can only be changed by a restart, and a bad file that replaces a
good one. A change is lowered and checked exactly as at the start, from the declaration, the file
read anew, the environment, the flags and what was set over the admin port; the plane then compares
it with what is in force and follows, or refuses it by name. Whatever is wrong, what is in force
stays.

    file changed ---.
    SIGHUP ---------+--> one thread, one change after the other --> the plane
    POST /config ---'

One thread of Python waits for all three (`Plane.next_ask`); requests never wake it.
"""

from __future__ import annotations

import json
import linecache
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tailrace._config import Resolved, config_file, resolve
from tailrace._runtime import Plane, PlaneError
from tailrace._watch import LOOK_SECONDS, FileWatch
from tailrace.errors import TailraceError

if TYPE_CHECKING:
    from tailrace._toml import TomlFile
    from tailrace.service import Service

JOIN_SECONDS: Final = 5.0
"""How long an end waits for a change under way."""

Tell: TypeAlias = Callable[[str], None]
Tables: TypeAlias = dict[str, Any]
Wish: TypeAlias = Callable[[bytes], tuple[int, Tables]]
"""Carries out a wish for the lab around this service, or for a look inside."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What a configuration is made of, besides what is set over the admin port."""

    service: Service
    config: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, Any] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    protections: str = "on"

    @property
    def file(self) -> str | None:
        """The file in use."""
        return config_file(self.config, self.environ)

    def resolve(
        self,
        admin: Tables | None = None,
        *,
        file: str | None = None,
        toml: TomlFile | None = None,
    ) -> Resolved:
        """What all sources say together; raises `TailraceError` with every problem.

        The file is read, unless `toml` is what it said before.
        """
        resolved = resolve(
            self.service,
            file or self.config,
            self.environ,
            self.flags,
            other_variables=self.others,
            toml=toml,
            admin=admin,
        )
        resolved.blueprint["protections"] = self.protections
        return resolved


class RefusedError(Exception):
    """A change that is not made: an HTTP status and why."""

    def __init__(self, status: int, error: str, problems: list[dict[str, Any]] | None = None):
        super().__init__(error)
        self.status = status
        self.error = error
        self.problems = problems


class Live:
    """Makes changes of a running plane, one after the other, in a thread of its own."""

    def __init__(
        self,
        plane: Plane,
        sources: Sources,
        resolved: Resolved,
        tell: Tell,
        watch: FileWatch | None = None,
        *,
        lab: Wish | None = None,
        profile: Wish | None = None,
    ) -> None:
        self.blueprint = resolved.blueprint
        """What is in force."""
        self._toml = resolved.toml
        self._plane = plane
        self._sources = sources
        self._tell = tell
        self._watch = watch
        self._lab = lab
        self._profile = profile
        self._file = sources.file
        self._admin: Tables = {}
        self._thread = threading.Thread(target=self._run, name="tailrace-live", daemon=True)
        plane.take_asks()
        self._thread.start()

    def end(self) -> None:
        """Makes no more changes; one under way is waited for."""
        self._plane.close_asks()
        self._thread.join(JOIN_SECONDS)

    def _run(self) -> None:
        patience = None if self._watch is None else LOOK_SECONDS
        while True:
            asked = self._plane.next_ask(patience)
            if asked is None:
                if self._watch is not None and self._watch.changed():
                    self._change(f"file {self._watch.path}")
                continue
            source, kind, body = asked
            if kind == "end":
                return
            status, answer = self._answer(source, kind, body)
            self._plane.reply(status, json.dumps(answer, ensure_ascii=False).encode())

    def _answer(self, source: str, kind: str, body: bytes) -> tuple[int, Tables]:
        if kind not in ("lab", "profile"):
            return self._change(source, kind, body)
        wish = self._lab if kind == "lab" else self._profile
        if wish is None:
            missing = "runs in no lab" if kind == "lab" else "says nothing of its Python side"
            return 503, {"error": f"this service {missing}"}
        try:
            return wish(body)
        except Exception as error:  # A mistake of ours must not end the thread.
            return 500, {"error": f"internal: {error!r}"}

    def _change(self, source: str, kind: str = "reload", body: bytes = b"") -> tuple[int, Tables]:
        """Makes one change or says why not; returns the answer to whoever asked for it."""
        try:
            return 200, self._made(source, kind, body)
        except RefusedError as refused:
            status, error, problems = refused.status, refused.error, refused.problems
        except Exception as error_:  # A mistake of ours must not end the thread.
            status, error, problems = 500, f"internal: {error_!r}", None
        stays = f"revision {self._plane.revision} stays"
        self._plane.refuse(source, error)
        self._tell(f"config: refused ({source}); {stays}\n{error}")
        answer: Tables = {"format_version": 1, "revision": self._plane.revision, "error": error}
        return status, answer if problems is None else {**answer, "problems": problems}

    def _made(self, source: str, kind: str, body: bytes) -> Tables:
        from tailrace._openapi import served

        reload = kind == "reload"
        admin = self._admin if reload else merged(self._admin, tables(kind, body))
        if reload and self._watch is not None:
            self._watch.take()
        # A message shows the line as it is now.
        if self._file is not None:
            linecache.checkcache(self._file)
        try:
            # A POST stands on the last good file: in an incident it works whatever the file says.
            toml = None if reload else self._toml
            resolved = self._sources.resolve(admin, file=self._file, toml=toml)
        except TailraceError as error:
            problems = [problem.as_json() for problem in error.problems]
            raise RefusedError(422, error.render(), problems) from None
        blueprint = json.dumps(resolved.blueprint).encode()
        origins = json.dumps(resolved.origins).encode()
        pages = served(self._sources.service, resolved)
        try:
            changes = self._plane.reconfigure(blueprint, origins, source, *pages)
        except PlaneError as error:
            raise RefusedError(422, f"error: {error.args[0]}") from None
        self._admin, self._toml, self.blueprint = admin, resolved.toml, resolved.blueprint
        told = [
            {"path": path, "from": old, "to": new, "origin": resolved.origin(path)}
            for path, old, new in changes
        ]
        self._say(source, told)
        return {"format_version": 1, "revision": self._plane.revision, "changes": told}

    def _say(self, source: str, changes: list[dict[str, str]]) -> None:
        revision = self._plane.revision
        if not changes:
            self._tell(f"config: nothing changed ({source}); revision {revision} stays")
        for one in changes:
            said = f"{one['path']} {one['from']} -> {one['to']} ({one['origin']})"
            self._tell(f"config: revision {revision} ({source}): {said}")


def tables(kind: str, body: bytes) -> Tables:
    """What a body sets: the tables and keys of a config file, as JSON or TOML."""
    import tomllib

    try:
        text = body.decode()
        read = tomllib.loads(text) if kind == "toml" else json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        name = "TOML" if kind == "toml" else "JSON"
        raise RefusedError(400, f"error: the body is not {name}: {error}") from None
    if not isinstance(read, dict):
        message = 'error: the body is an object: {"limits": {"idle": "20s"}}'
        raise RefusedError(400, message)
    return read


def once(pairs: list[tuple[str, Any]]) -> Tables:
    """An object; a key that stands in it twice is an error."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key `{twice}` stands there twice")
    return found


def merged(old: Tables, patch: Tables) -> Tables:
    """`old` with `patch` over it; null takes a value, or a whole table, away (RFC 7396)."""
    result = dict(old)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            known = result.get(name)
            result[name] = merged(known if isinstance(known, dict) else {}, value)
        else:
            result[name] = value
    return result
