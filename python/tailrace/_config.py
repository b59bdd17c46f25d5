"""Overrides from a TOML file, the environment and flags.

The failure prevented: a key that is ignored. Everything in the file and every `TAILRACE_*`
variable is either an option of this service or an error with "did you mean". Precedence is admin
port, flag, environment, file, code, default; each effective value knows where it came from
(`tailrace explain --origin`, `/config`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tailrace import _toml
from tailrace._options import NAMED, POLICIES, PREFIX, SECTIONS, Option
from tailrace._origin import DEFAULT, Key, Overrides, Setting
from tailrace._otel import otel_settings
from tailrace._source import Place
from tailrace.errors import ConfigError, Problem, suggestion
from tailrace.quantities import QuantityError

if TYPE_CHECKING:
    from tailrace.service import Service

FILE_NAME: Final = "tailrace.toml"
FILE_VARIABLE: Final = PREFIX + "CONFIG"
ADMIN: Final = "admin POST /config"
"""The origin of what was set over the admin port."""
TOKEN_VARIABLE: Final = PREFIX + "ADMIN_TOKEN"
"""A secret that the plane reads itself: it stands in no blueprint."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """The effective blueprint, and the origin of its values by dotted path."""

    blueprint: dict[str, Any]
    origins: dict[str, str]
    models: dict[int, type] = field(default_factory=dict, repr=False)
    """The class behind a shape of the blueprint, by its index."""
    toml: _toml.TomlFile | None = field(default=None, repr=False)
    """What the file said."""

    def origin(self, path: str) -> str:
        """Where the value at `path` came from, e.g. `limits.drain_ms`."""
        return self.origins.get(path, DEFAULT)


def resolve(
    service: Service,
    toml_path: str | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
    *,
    other_variables: Collection[str] = (),
    read_file: bool = True,
    toml: _toml.TomlFile | None = None,
    admin: Mapping[str, Any] | None = None,
) -> Resolved:
    """The blueprint of `service` with every override.

    `toml_path` left out takes `$TAILRACE_CONFIG`, then `tailrace.toml` in the working directory if
    there is one; without `read_file` only a named file is read, and with `toml`, which is what it
    said before, none. `flags` go by dotted option, e.g. `{"listen.port": 8081}`. `other_variables`
    are `TAILRACE_*` names that belong to the command line itself. `admin` holds tables like a
    file's, set over the admin port (`_live`). Raises `ConfigError` and `DeclarationError`.
    """
    from tailrace._lower import build

    environ = environ or {}
    layers = _Layers(service)
    path = config_file(toml_path, environ, here=read_file)
    if toml is None and path is not None:
        toml = _toml.read(path)
    if toml is not None:
        layers.file(toml)
    layers.environment(environ, {FILE_VARIABLE, TOKEN_VARIABLE, *other_variables})
    layers.flags(flags or {})
    if admin:
        layers.file(_toml.TomlFile(ADMIN, dict(admin), {}))
    if layers.problems:
        raise ConfigError(layers.problems)
    built = build(service, Overrides(otel_settings(environ) | layers.settings))
    return Resolved(built.blueprint, built.origins, built.models, toml)


def host_tracing(
    environ: Mapping[str, str], endpoint: Setting | None = None
) -> dict[str, Any] | None:
    """A blueprint of the tracing that file and environment ask for, and of nothing else.

    `endpoint` is stronger than both. None when nothing is said of tracing, or that it is off; what
    a service's code declares is not known here. Raises `ConfigError` and `DeclarationError`.
    """
    from tailrace._lower import lower_collector
    from tailrace.service import Service

    table = "tracing"
    layers = _Layers(Service("host", deadline="1s"))
    path = config_file(None, environ)
    file = _toml.read(path) if path is not None else None
    if file is not None and table in file.data:
        layers.file(_toml.TomlFile(file.path, {table: file.data[table]}, file.places))
    own = f"{PREFIX}{table.upper()}_"
    layers.environment(
        {name: text for name, text in environ.items() if name.startswith(own)}, set()
    )
    if layers.problems:
        raise ConfigError(layers.problems)
    settings = otel_settings(environ) | layers.settings
    if endpoint is not None:
        settings[table, "endpoint"] = endpoint
        settings[table, "enabled"] = replace(endpoint, value=True)
    if ("otel", "endpoint") not in settings and all(key[0] != table for key in settings):
        return None
    return lower_collector(Overrides(settings))


def config_file(given: str | None, environ: Mapping[str, str], *, here: bool = True) -> str | None:
    """The file that is read: as given, from the environment, or the one in this directory."""
    path = given or environ.get(FILE_VARIABLE)
    return FILE_NAME if path is None and here and Path(FILE_NAME).is_file() else path


def variables(service: Service) -> dict[str, str]:
    """Every variable that this service reads, and the option it sets, for help and completion."""
    layers = _Layers(service)
    return {name: ".".join(key) for name, (key, _) in layers.variables().items()}


class _Layers:
    """Settings gathered from the weakest source to the strongest, and what was wrong in them."""

    def __init__(self, service: Service) -> None:
        self.settings: dict[Key, Setting] = {}
        self.problems: list[Problem] = []
        self.named: dict[str, list[str]] = {
            "upstreams": [one.name for one in service.upstreams if isinstance(one.name, str)],
            "views": [one.name for one in service.endpoints if isinstance(one.name, str)],
        }

    def file(self, file: _toml.TomlFile) -> None:
        for section, value in file.data.items():
            place = file.place((section,))
            if section not in SECTIONS and section not in NAMED:
                helps = suggestion(section, [*SECTIONS, *NAMED], "tables")
                self._unknown(f"unknown table `[{section}]`", place, helps, value)
            elif not isinstance(value, dict):
                message = f"`{section}` is a table"
                self._problem("TR203", message, place, (f"write [{section}] above its keys",))
            elif section in SECTIONS:
                self._table(file, (section,), _flat(value), SECTIONS[section])
            else:
                self._named_tables(file, section, value)

    def _named_tables(self, file: _toml.TomlFile, section: str, tables: dict[str, Any]) -> None:
        for name, value in tables.items():
            key = (section, name)
            place = file.place(key)
            if name not in self.named[section]:
                noun = section.removesuffix("s")
                helps = suggestion(name, self.named[section], section)
                self._problem("TR205", f"the service has no {noun} `{name}`", place, helps)
            elif not isinstance(value, dict):
                helps = (f"write [{section}.{name}] above its keys",)
                self._problem("TR203", f"`{section}.{name}` is a table", place, helps)
            else:
                self._table(file, key, _flat(value), NAMED[section])

    def _table(
        self, file: _toml.TomlFile, key: Key, table: dict[str, Any], known: dict[str, Option]
    ) -> None:
        if {"url", "addresses"} <= set(table) and "url" in known:
            message = f"`[{'.'.join(key)}]` has both `url` and `addresses`"
            place = file.place((*key, "url"))
            self._problem("TR203", message, place, ("keep one of them",))
        for name, value in table.items():
            place = file.place((*key, *name.split(".")))
            if name not in known:
                helps = suggestion(name, known, "keys")
                self._problem("TR201", f"unknown key `{name}` in `[{'.'.join(key)}]`", place, helps)
            else:
                self._set((*key, name), known[name], value, str(place), place)

    def environment(self, environ: Mapping[str, str], others: set[str]) -> None:
        known = self.variables()
        for name in sorted(environ):
            if not name.startswith(PREFIX) or name in others:
                continue
            place = Place(f"environment variable {name}")
            if name not in known:
                helps = suggestion(name, [*known, *others], "variables")
                self._problem("TR202", f"unknown variable `{name}`", place, helps)
                continue
            key, option = known[name]
            self._set(key, option, environ[name], f"env {name}", place)

    def flags(self, flags: Mapping[str, Any]) -> None:
        known = {".".join(key): (key, option) for key, option in self._options()}
        for dotted, value in flags.items():
            flag = "--" + dotted.rpartition(".")[2].replace("_", "-")
            place = Place(f"option {flag}")
            if dotted not in known:
                helps = suggestion(dotted, known, "options")
                self._problem("TR201", f"unknown option `{dotted}`", place, helps)
                continue
            key, option = known[dotted]
            self._set(key, option, value, f"flag {flag}", place)

    def variables(self) -> dict[str, tuple[Key, Option]]:
        return {
            PREFIX + "_".join(_upper(part) for part in key): (key, option)
            for key, option in self._options()
        }

    def _options(self) -> Iterator[tuple[Key, Option]]:
        for section, options in SECTIONS.items():
            yield from (((section, name), option) for name, option in options.items())
        for section, options in NAMED.items():
            for owner in self.named[section]:
                yield from (((section, owner, name), option) for name, option in options.items())

    def _set(self, key: Key, option: Option, value: Any, origin: str, place: Place) -> None:
        try:
            read = option.read(value)
        except QuantityError as error:
            self._problem(error.code, f"`{'.'.join(key)}` {error}", place, (error.hint,))
            return
        target = (*key[:-1], option.field or key[-1])
        self.settings[target] = Setting(read, origin, place)

    def _unknown(self, message: str, place: Place, helps: tuple[str, ...], value: Any) -> None:
        known = {name: section for section, options in SECTIONS.items() for name in options}
        if not isinstance(value, dict) and place.line:
            name = message.split("[")[1].rstrip("]`")
            message = f"unknown key `{name}` outside any table"
            helps = (f"it belongs under [{known[name]}]",) if name in known else helps
        self._problem("TR201", message, place, helps)

    def _problem(self, code: str, message: str, place: Place, helps: tuple[str, ...]) -> None:
        self.problems.append(Problem(code, message, place, helps=helps))


def _flat(table: dict[str, Any]) -> dict[str, Any]:
    """`bulkhead = { limit = 4, queue = 8 }` as its two keys, and the other policies likewise."""
    flat: dict[str, Any] = {}
    for name, value in table.items():
        if name in POLICIES and isinstance(value, dict):
            flat |= {f"{name}.{inner}": one for inner, one in value.items()}
        else:
            flat[name] = value
    return flat


def _upper(part: str) -> str:
    import re

    return re.sub(r"[^A-Za-z0-9]", "_", part).upper()
