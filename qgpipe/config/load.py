"""Reads a configuration file, and explains errors in its YAML."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from qgpipe.config.objects import add_search_path
from qgpipe.config.tags import ConfigLoader
from qgpipe.errors import ConfigError, shown

_LINE_END = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # line breaks of YAML


def load_config(path: str | Path, *over: str | Path) -> dict[str, Any]:
    """The mapping in the YAML file ``path``, its tags turned into strings and mappings.

    ``over``: files that are laid over it in turn, as ``snakemake --configfile`` does: mappings
    are merged, and anything else, lists too, takes the place of what was there.

    From then on modules are found beside each file and in its ``python_path``, too. Raises
    ``ConfigError`` with line and remedy if a file is missing, is not YAML or does not hold a
    mapping.
    """
    config = _load(Path(path))
    for file in over:
        config = laid_over(config, _load(Path(file)))
    return config


def laid_over(config: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    """``config`` with the values of ``changes``; mappings in both are merged."""
    result = dict(config) if isinstance(config, Mapping) else {}
    for key, value in changes.items():
        result[key] = laid_over(result.get(key), value) if isinstance(value, Mapping) else value
    return result


def files_text(files: Iterable[str | Path]) -> str:
    """What messages call a configuration that is read from ``files``."""
    return " + ".join(map(str, files))


def _load(path: Path) -> dict[str, Any]:
    text = _text(path)
    try:
        config = yaml.load(text, Loader=ConfigLoader)
    except yaml.MarkedYAMLError as error:
        raise _explain(error, text, str(path)) from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise ConfigError(
            f"the character {chr(error.character)!a} may not stand in YAML",
            file=f"{path}, line {line}",
            remedy="remove it, or write it as an escape in double quotes",
        ) from None
    except RecursionError:
        raise ConfigError(
            "brackets or blocks are nested too deeply", file=str(path), remedy="see what opens them"
        ) from None
    if not isinstance(config, dict):
        raise ConfigError("the file has no keys at top level", file=str(path))
    add_search_path(*user_folders(config, path))
    return config


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError("no such file", file=str(path)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"not a text file in UTF-8 ({error})", file=str(path), remedy="save it as UTF-8"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(path)) from None


def user_folders(config: Mapping[str, Any], *files: str | Path | None) -> tuple[Path, ...]:
    """The folders in which the user's modules are looked for, nearest first.

    ``files``: those that ``config`` is read from, none if it was written in Python; its
    ``python_path`` starts beside the first. ``config`` need not have been checked yet.
    """
    folders = [Path(file).resolve().parent for file in files if file] or [Path.cwd()]
    beside = folders[0]
    given = config.get("python_path")
    names = [name for name in given if isinstance(name, str)] if isinstance(given, list) else []
    named = [beside / expand_home(name) for name in names]
    return tuple(dict.fromkeys([*folders, *named, Path.cwd()]))


def _explain(error: yaml.MarkedYAMLError, text: str, file: str) -> ConfigError:
    mark = error.problem_mark or error.context_mark
    line = mark.line if mark else 0
    lines = [*_LINE_END.split(text), ""]
    line = min(line, len(lines) - 1)  # the mark may be after the last line
    quoted = shown(lines[line].strip())
    problem = error.problem or error.context or str(error)
    where = f"{file}, line {line + 1}"
    remedy = None
    above = next((i for i in range(line - 1, -1, -1) if lines[i].strip()), None)
    over_indented = (
        problem.startswith(("mapping values are not allowed", "expected <block end>"))
        and above is not None
        and _key_column(lines[line]) > _key_column(lines[above])
    )
    if over_indented and above is not None:
        wanted = _key_column(lines[above])
        key, above_key = lines[line].strip().split(":")[0], lines[above].strip(" -").split(":")[0]
        problem = f"'{key}:' is indented deeper than '{above_key}:' in line {above + 1}"
        remedy = f"move it left to column {wanted + 1}, and its block with it"
    elif problem.startswith("mapping values are not allowed"):
        remedy = "quote a value that contains ': '"
    elif problem.startswith("expected ',' or") and error.context_mark:
        remedy = f"close the bracket that is opened in line {error.context_mark.line + 1}"
    elif problem.endswith("is given twice"):
        remedy = "remove one of the two"
    elif "\\t" in problem or "\t" in lines[line]:
        problem, remedy = "a tab is used for indentation", "use spaces"
    elif "undefined constructor" in problem or "could not determine a constructor" in problem:
        remedy = (
            "the tags are !pyobject, !sweep, !coupled-sweep, !range, !random_uniform, !reference"
        )
    return ConfigError(f"{problem} ({quoted})", file=where, remedy=remedy)


def _key_column(line: str) -> int:
    """Column of the first character that is neither a space nor a list dash."""
    return len(line) - len(line.lstrip(" -"))


def expand_home(path: str) -> str:
    """``path`` with ``~`` at its beginning expanded. Raises ``ConfigError`` for an unknown user."""
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError:
        raise ConfigError(
            f"'{path}' begins with the home of nobody", remedy="write the whole path"
        ) from None
