"""``tailrace completion``: a completion script for bash, zsh or fish.

The failure prevented: completion that starts Python at every press of a key. The script is made
once from the verbs' own declarations and holds all words itself: verbs, options, and the values of
those options that have a closed set. Files are completed where a file is meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from typing import Annotated, Final

import typer

from tailrace.cli import _output
from tailrace.cli._exit import Exit, Stop, did_you_mean
from tailrace.cli._output import COLORS, emit_json

PURPOSE = "completion script for bash, zsh or fish"
EXAMPLES = (
    'eval "$(tailrace completion bash)"      in ~/.bashrc',
    'eval "$(tailrace completion zsh)"       in ~/.zshrc',
    "tailrace completion fish > ~/.config/fish/completions/tailrace.fish",
)
SHELLS: Final = ("bash", "zsh", "fish")
COMMON: Final = ("--json", "--color", "--verbose", "--help")
FILES: Final = "files"
# Values of options and arguments by verb; what is not named here takes free text.
VALUES: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    ("completion", "SHELL"): SHELLS,
    ("explain", "APP|CODE"): (FILES,),
    ("explain", "--config"): (FILES,),
    ("fault", "UPSTREAM"): ("orders", "users", "inventory", "coupons", "recommend"),
    ("openapi", "APP"): (FILES,),
    ("openapi", "--check"): (FILES,),
    ("openapi", "--config"): (FILES,),
    ("openapi", "--out"): (FILES,),
    ("serve", "APP"): (FILES,),
    ("serve", "--access-log"): (FILES,),
    ("serve", "--config"): (FILES,),
    ("serve", "--log-format"): ("json", "text"),
    ("serve", "--protections"): ("on", "off"),
}


def completion(
    shell: Annotated[str, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> int:
    """Prints a completion script."""
    if shell not in SHELLS:
        hint = did_you_mean(shell, SHELLS)
        raise Stop(Exit.USAGE, f"error: there is no completion for {shell!r}", hint)
    script = "\n".join({"bash": _bash, "zsh": _zsh, "fish": _fish}[shell](_words()))
    if _output.choices.json:
        emit_json({"shell": shell, "script": script})
    else:
        print(script)
    return Exit.OK


@dataclass(slots=True)
class Words:
    """What can follow one verb."""

    verb: str
    about: str
    # Option, what it does, and whether a value follows.
    options: list[tuple[str, str, bool]] = field(default_factory=list)
    argument: tuple[str, ...] = ()


def _words() -> list[Words]:
    from tailrace.cli import VERBS
    from tailrace.cli._command import arguments_of, command_of, options_of, takes_value

    found = []
    for verb, about in VERBS.items():
        command = command_of(verb, import_module(f"tailrace.cli.{verb}"))
        words = Words(verb, about)
        for one in options_of(command):
            name = max(one.opts, key=len)
            words.options.append((name, one.help or "", takes_value(one)))
        words.options += [(name, _common(name), name == "--color") for name in COMMON]
        for one in arguments_of(command):
            words.argument = VALUES.get((verb, one.metavar), ())
        found.append(words)
    return found


def _common(name: str) -> str:
    return {
        "--json": "Results as JSON.",
        "--color": "auto, always or never.",
        "--verbose": "Show tracebacks.",
        "--help": "Help of the verb.",
    }[name]


def _values(verb: str, option: str) -> tuple[str, ...]:
    return COLORS if option == "--color" else VALUES.get((verb, option), ())


def _bash(every: list[Words]) -> Iterator[str]:
    """One function; works without the bash-completion package."""
    verbs = " ".join(words.verb for words in every)
    yield "# bash completion for tailrace"
    yield "_tailrace() {"
    yield '    local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"'
    yield '    local verb="${COMP_WORDS[1]}" words=""'
    yield "    COMPREPLY=()"
    yield '    if [ "$COMP_CWORD" -eq 1 ]; then'
    yield f'        COMPREPLY=($(compgen -W "{verbs} --help --version" -- "$word"))'
    yield "        return"
    yield "    fi"
    yield '    case "$verb $before" in'
    for words in every:
        for option, _, takes in words.options:
            if takes:
                yield f'        "{words.verb} {option}") {_bash_reply(words.verb, option)} ;;'
    yield "    esac"
    yield '    case "$verb" in'
    for words in every:
        names = " ".join(name for name, _, _ in words.options)
        plain = " ".join(one for one in words.argument if one != FILES)
        more = ' COMPREPLY=($(compgen -f -- "$word"));' if FILES in words.argument else ""
        yield f'        {words.verb}) words="{plain}"; case "$word" in -*) words="{names}" ;;'
        yield f"            *){more} ;; esac ;;"
    yield "    esac"
    yield '    [ -z "$words" ] || COMPREPLY=($(compgen -W "$words" -- "$word"))'
    yield "}"
    yield "complete -o filenames -F _tailrace tailrace"


def _bash_reply(verb: str, option: str) -> str:
    values = _values(verb, option)
    if FILES in values:
        return 'COMPREPLY=($(compgen -f -- "$word")); return'
    if values:
        return f'COMPREPLY=($(compgen -W "{" ".join(values)}" -- "$word")); return'
    return "return"


def _zsh(every: list[Words]) -> Iterator[str]:
    yield "#compdef tailrace"
    yield "_tailrace() {"
    yield "    local -a verbs"
    yield "    verbs=("
    for words in every:
        yield f"        '{words.verb}:{_quoted(words.about)}'"
    yield "    )"
    yield "    if (( CURRENT == 2 )); then"
    yield "        _describe verb verbs"
    yield "        return"
    yield "    fi"
    yield "    case $words[2] in"
    for words in every:
        yield f"        {words.verb})"
        yield "            shift words; (( CURRENT-- ))"
        yield "            _arguments \\"
        for name, about, takes in words.options:
            value = f":value:{_zsh_action(_values(words.verb, name))}" if takes else ""
            yield f"                '{name}[{_quoted(about)}]{value}' \\"
        yield f"                '*:argument:{_zsh_action(words.argument)}' ;;"
    yield "    esac"
    yield "}"
    # Sourced it must be registered; as a file on the path it is called.
    yield 'if [ "$funcstack[1]" = "_tailrace" ]; then _tailrace "$@"; else'
    yield "    (( $+functions[compdef] )) || { autoload -Uz compinit; compinit; }"
    yield "    compdef _tailrace tailrace"
    yield "fi"


def _zsh_action(values: tuple[str, ...]) -> str:
    if FILES in values:
        return "_files"
    return f"({' '.join(values)})" if values else " "


def _fish(every: list[Words]) -> Iterator[str]:
    yield "# fish completion for tailrace"
    yield "complete -c tailrace -f"
    for words in every:
        about = _quoted(words.about)
        yield f"complete -c tailrace -n __fish_use_subcommand -a {words.verb} -d '{about}'"
    for words in every:
        when = f"-n '__fish_seen_subcommand_from {words.verb}'"
        for name, about, takes in words.options:
            line = f"complete -c tailrace {when} -l {name.removeprefix('--')} -d '{_quoted(about)}'"
            yield line + _fish_values(_values(words.verb, name), takes)
        if FILES in words.argument:
            yield f"complete -c tailrace {when} -F"
        elif words.argument:
            yield f"complete -c tailrace {when} -a '{' '.join(words.argument)}'"


def _fish_values(values: tuple[str, ...], takes: bool) -> str:
    if FILES in values:
        return " -r -F"
    if values:
        return f" -x -a '{' '.join(values)}'"
    return " -x" if takes else ""


def _quoted(text: str) -> str:
    """Inside single quotes, brackets and colons that zsh would read."""
    return text.replace("'", "").replace("[", "(").replace("]", ")").replace(":", ",")
