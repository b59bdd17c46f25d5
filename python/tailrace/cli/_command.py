"""A verb's command line: parsed by typer, told in our words.

The failure prevented: two styles of help and errors. A verb is a function with typer's annotations
in a module with PURPOSE and EXAMPLES. Help shows purpose, examples, usage, then options in their
groups with variable and default, at 80 columns. A wrong command line is one error that names what
was meant. typer's own screens are never shown.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from tailrace.cli import _output
from tailrace.cli._exit import Exit, Stop, did_you_mean

_INDENT = 25


def run(verb: str, module: ModuleType, arguments: list[str]) -> int:
    """Parses `arguments` for `verb` and runs it; returns its exit code."""
    command = command_of(verb, module)
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if {"-h", "--help"} & set(before):
        print(help_text(verb, module, command))
        return Exit.OK
    try:
        code = command.main(list(arguments), prog_name=f"tailrace {verb}", standalone_mode=False)
    except SystemExit as end:
        # typer turns a reader that has left into code 1; here that is no failure.
        if isinstance(end.__context__, BrokenPipeError):
            raise end.__context__ from None
        raise
    except Exception as error:
        # typer carries its parser inside, older versions use click's: both errors look like this.
        if hasattr(error, "format_message") and hasattr(error, "ctx"):
            raise _usage_error(verb, command, error) from None
        raise
    return int(code or Exit.OK)


def command_of(verb: str, module: ModuleType) -> Any:
    """The typer command of a verb's module."""
    import typer

    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name=verb, add_help_option=False)(getattr(module, verb))
    return typer.main.get_command(app)


def options_of(command: Any) -> list[Any]:
    """Options that are shown, in declared order."""
    shown = [one for one in command.params if one.param_type_name == "option"]
    return [one for one in shown if not one.hidden]


def arguments_of(command: Any) -> list[Any]:
    return [one for one in command.params if one.param_type_name == "argument"]


def takes_value(option: Any) -> bool:
    return not option.is_flag


def help_text(verb: str, module: ModuleType, command: Any) -> str:
    """The help of a verb."""
    given = " ".join(_argument(one) for one in arguments_of(command))
    lines = [f"tailrace {verb}: {module.PURPOSE}", "", "Examples:"]
    lines += [f"  {example}" for example in module.EXAMPLES]
    lines += ["", f"Usage: tailrace {verb} {given}{' ' if given else ''}[OPTIONS]"]
    for one in arguments_of(command):
        lines += ["", *_row(one.metavar or one.name.upper(), _about(one, module))]
    groups: dict[str, list[Any]] = {}
    for one in options_of(command):
        groups.setdefault(one.rich_help_panel or "Options", []).append(one)
    for title, members in groups.items():
        lines += ["", f"{title}:"]
        for one in members:
            name = ", ".join(sorted(one.opts, key=len))
            value = f" {one.metavar}" if takes_value(one) and one.metavar else ""
            lines += _row(name + value, _about(one, module))
    lines += ["", "Options of every verb:", _output.COMMON_HELP]
    return "\n".join(lines)


def _argument(parameter: Any) -> str:
    name = parameter.metavar or parameter.name.upper()
    return name if parameter.required else f"[{name}]"


def _about(parameter: Any, module: ModuleType) -> str:
    variable = parameter.envvar or getattr(module, "VARIABLES", {}).get(parameter.name)
    default = parameter.default
    facts = [f"[{variable}]"] if variable else []
    if default is not None and not isinstance(default, bool) and default != "":
        facts.append(f"[default: {default}]")
    return " ".join([parameter.help or "", *facts])


def _row(name: str, about: str) -> Iterable[str]:
    """One option; what it is about stands beside it, or below when the name is long."""
    left = f"  {name}"
    text = textwrap.wrap(
        about,
        _output.WIDTH - _INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    if len(left) >= _INDENT - 1:
        yield left
    else:
        yield f"{left:<{_INDENT}}{text[0] if text else ''}"
        text = text[1:]
    for line in text:
        yield " " * _INDENT + line


def _usage_error(verb: str, command: Any, error: Any) -> Stop:
    known = [name for one in options_of(command) for name in one.opts]
    known += ["--help", "--json", "--color", "--verbose"]
    more = f"tailrace {verb} --help shows all of them"
    wrong = str(getattr(error, "option_name", ""))
    if type(error).__name__ == "NoSuchOption":
        hint = did_you_mean(wrong, known)
        if not hint.startswith("did you mean"):
            hint = more
        return Stop(Exit.USAGE, f"error: `tailrace {verb}` has no option `{wrong}`", hint)
    message = error.format_message().rstrip(".")
    if type(error).__name__ == "BadOptionUsage":
        option = next((one for one in options_of(command) if wrong in one.opts), None)
        value = option.metavar if option is not None and takes_value(option) else None
        said = f"needs a value: {value}" if value else "takes no value"
        return Stop(Exit.USAGE, f"error: {wrong} {said}", more)
    extra = re.search(r"extra arguments?(?:\(s\))? \((.*)\)", message)
    if extra:
        return Stop(Exit.USAGE, f"error: `{extra[1]}` is too much here", more)
    parameter = getattr(error, "param", None)
    if type(error).__name__ == "MissingParameter" and parameter is not None:
        name = parameter.metavar or parameter.name.upper()
        return Stop(Exit.USAGE, f"error: {name} is missing", *_examples(verb))
    if parameter is not None:
        is_option = parameter.param_type_name == "option"
        name = max(parameter.opts, key=len) if is_option else parameter.name
        return Stop(Exit.USAGE, f"error: {name} {_wrong_value(error.message)}", more)
    return Stop(Exit.USAGE, f"error: {message[:1].lower()}{message[1:]}", more)


def _wrong_value(message: str) -> str:
    """What the parser says about a value, in a sentence that starts with the option's name."""
    for word, said in (("integer", "takes a whole number"), ("number", "takes a number")):
        if word in message and "greater" not in message and "less" not in message:
            return said
    return f"cannot be that: {message[:1].lower()}{message[1:].rstrip('.')}"


def _examples(verb: str) -> Iterable[str]:
    from importlib import import_module

    first = import_module(f"tailrace.cli.{verb}").EXAMPLES[0]
    return [f"for example: {first.split('  ')[0]}"]
