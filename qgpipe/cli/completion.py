"""``qgpipe completion bash``: completion of the command line, for a shell to read."""

import argparse
import shlex
from collections.abc import Iterator
from importlib import import_module
from typing import Any

HELP = "print what makes a shell complete the commands and options of qgpipe"
SHELLS = ("bash", "zsh", "fish")

_BASH = """\
# Completion of qgpipe for {shell}. In your {file}: {line}
{first}_qgpipe() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} words= values=
    if [[ $COMP_CWORD -eq 1 ]]; then
        words="{commands}"
    else
        case "${{COMP_WORDS[1]}} $before" in
{choices}
            *)
                case "${{COMP_WORDS[1]}}" in
{options}
                esac
                [[ $word == -* || -n $values ]] || words=
                ;;
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _qgpipe qgpipe
"""
_SOURCED = "source <(qgpipe completion {shell})"
_ZSH = "autoload -Uz compinit bashcompinit && compinit && bashcompinit\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A shell."""
    parser.add_argument("shell", choices=SHELLS, help="the shell that is to read it")


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    from qgpipe.cli import COMMANDS

    commands, helps = {}, {}
    for name in COMMANDS:
        module = import_module(f"qgpipe.cli.{name}")
        recorder = _Recorder()
        module.add_arguments(recorder)
        commands[name], helps[name] = recorder.actions, module.HELP
    write = _fish if arguments.shell == "fish" else _bash
    print(write(arguments.shell, commands, helps), end="")
    return 0


class _Recorder(argparse.ArgumentParser):
    """Keeps its ``actions``, those of groups too."""

    def __init__(self) -> None:
        self.actions: list[argparse.Action] = []
        super().__init__()

    def _add_action(self, action: Any) -> Any:
        self.actions.append(action)
        return super()._add_action(action)


Commands = dict[str, list[argparse.Action]]


def _bash(shell: str, commands: Commands, _helps: dict[str, str]) -> str:
    """A function of bash, which zsh takes, too; where it offers nothing, files are offered."""
    choices, options = [], []
    for name, actions in commands.items():
        for action in actions:
            for option in action.option_strings if action.choices else ():
                words = " ".join(map(str, action.choices or ()))
                choices.append(f'            "{name} {option}") words="{words}" ;;')
        positional = [str(c) for a in _positional(actions) for c in a.choices or ()]
        given = " ".join([*positional, *(o for a in actions for o in a.option_strings)])
        values = "yes" if positional else ""
        options.append(f'                    {name}) words="{given}" values={values} ;;')
    return _BASH.format(
        shell=shell,
        file=f"~/.{shell}rc",
        line=_SOURCED.format(shell=shell),
        first=_ZSH if shell == "zsh" else "",
        commands=" ".join(commands),
        choices="\n".join(choices),
        options="\n".join(options),
    )


def _fish(_shell: str, commands: Commands, helps: dict[str, str]) -> str:
    """Calls of fish's ``complete``, with the help of each command and option."""
    lines = ["# Completion of qgpipe for fish: qgpipe completion fish | source"]
    for name, text in helps.items():
        lines.append(f"complete -c qgpipe -n __fish_use_subcommand -a {name} -d {_quoted(text)}")
        here = f"complete -c qgpipe -n '__fish_seen_subcommand_from {name}'"
        lines += [f"{here} {line}" for line in _fish_options(commands[name])]
    return "\n".join(lines) + "\n"


def _fish_options(actions: list[argparse.Action]) -> Iterator[str]:
    for action in actions:
        words = f" -x -a {_quoted(' '.join(map(str, action.choices)))}" if action.choices else ""
        names = [
            f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
            for option in action.option_strings
        ]
        takes = " -r" if names and action.nargs != 0 and not words else ""
        if names or words:
            yield f"{' '.join(names)}{words}{takes} -d {_quoted(action.help or '')}".strip()


def _positional(actions: list[argparse.Action]) -> list[argparse.Action]:
    return [action for action in actions if not action.option_strings]


def _quoted(text: str) -> str:
    return shlex.quote(text.replace("%%", "%"))
