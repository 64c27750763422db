"""``qgpipe completion bash``: completion of the command line, for a shell to read."""

import argparse
import shlex
from collections.abc import Iterator

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
    from qgpipe.cli import command_line

    (commands,) = (
        action
        for action in command_line()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    helps = {action.dest: action.help or "" for action in commands._choices_actions}
    write = _fish if arguments.shell == "fish" else _bash
    print(write(arguments.shell, commands.choices, helps), end="")
    return 0


def _bash(shell: str, commands: dict[str, argparse.ArgumentParser], _helps: dict[str, str]) -> str:
    """A function of bash, which zsh takes, too; where it offers nothing, files are offered."""
    choices, options = [], []
    for name, parser in commands.items():
        for action in parser._actions:
            for option in action.option_strings if action.choices else ():
                words = " ".join(map(str, action.choices or ()))
                choices.append(f'            "{name} {option}") words="{words}" ;;')
        positional = [str(c) for a in _positional(parser) for c in a.choices or ()]
        given = " ".join([*positional, *(o for a in parser._actions for o in a.option_strings)])
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


def _fish(_shell: str, commands: dict[str, argparse.ArgumentParser], helps: dict[str, str]) -> str:
    """Calls of fish's ``complete``, with the help of each command and option."""
    lines = ["# Completion of qgpipe for fish: qgpipe completion fish | source"]
    for name, text in helps.items():
        lines.append(f"complete -c qgpipe -n __fish_use_subcommand -a {name} -d {_quoted(text)}")
        here = f"complete -c qgpipe -n '__fish_seen_subcommand_from {name}'"
        lines += [f"{here} {line}" for line in _fish_options(commands[name])]
    return "\n".join(lines) + "\n"


def _fish_options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        words = f" -x -a {_quoted(' '.join(map(str, action.choices)))}" if action.choices else ""
        names = [
            f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
            for option in action.option_strings
        ]
        takes = " -r" if names and action.nargs != 0 and not words else ""
        if names or words:
            yield f"{' '.join(names)}{words}{takes} -d {_quoted(action.help or '')}".strip()


def _positional(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if not action.option_strings]


def _quoted(text: str) -> str:
    return shlex.quote(text.replace("%%", "%"))
