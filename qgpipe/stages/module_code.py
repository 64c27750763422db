"""Fingerprints of the user's own code, without importing it.

The fingerprint of a module is that of its syntax tree, without docstrings, comments and
layout, and of the modules that it imports from the user's own folders. What is
installed (and qgpipe itself) is not followed: qgpipe counts by the format versions in
``sections``.
"""

import ast
import functools
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

from qgpipe.config.key_path import leaves
from qgpipe.config.objects import dotted_name, is_installed

_DEFINITIONS = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_IMPORTERS = {"import_module", "__import__"}
_NOT_FOLLOWED = {**dict.fromkeys(EXTENSION_SUFFIXES, "compiled code"), ".ipynb": "a notebook"}
_SAYS_NOTHING = {"ctx", "kind", "type_comment", "type_ignores"}  # fields of syntax trees


@dataclass(frozen=True)
class Code:
    """The user's code that a section calls.

    ``modules``: for each module that it names all files that count, its own and those that it
    imports. ``not_followed``: the files among them that cannot be read as Python, and why.
    """

    modules: dict[str, tuple[Path, ...]]
    not_followed: dict[Path, str]


def code_fingerprints(section: Any, folders: Iterable[Path]) -> dict[str, str]:
    """``{module: fingerprint}`` of the user modules that ``section`` names.

    ``section`` is any nesting of mappings and lists; every string in it that looks like a
    dotted name and whose first part is a module in one of ``folders`` counts.
    """
    code = find_code(section, folders)
    return {module: _fingerprint(files) for module, files in code.modules.items()}


def find_code(section: Any, folders: Iterable[Path]) -> Code:
    """The files of the user modules that ``section`` names, in ``folders``."""
    folders = list(folders)
    modules: dict[str, tuple[Path, ...]] = {}
    not_followed: dict[Path, str] = {}
    for _, value in leaves(section):
        name = dotted_name(value) if isinstance(value, str) else ""
        if "." not in name or not name.replace(".", "_").isidentifier():
            continue
        module, files = _find_imported(name, folders)
        if not files or module.partition(".")[0] == "qgpipe" or module in modules:
            continue
        followed = _follow(files, folders)
        not_followed |= {file: why for file in followed if (why := _why_not(file)) is not None}
        modules[module] = tuple(file for file in followed if file not in not_followed)
    return Code(dict(sorted(modules.items())), not_followed)


def _find_imported(name: str, folders: list[Path]) -> tuple[str, list[Path]]:
    """As ``_find``; nothing where ``import`` would find what is installed instead."""
    module, files = _find(name, folders)
    if files and is_installed(name.partition(".")[0]):
        return "", []
    return module, files


def _find(name: str, folders: list[Path]) -> tuple[str, list[Path]]:
    """The longest prefix of ``name`` that is a module in one of ``folders``, and its files.

    These are the module's own file and the ``__init__.py`` of the packages around it.
    """
    parts = name.split(".")
    for folder in folders:
        files: list[Path] = []
        found = 0
        for depth, part in enumerate(parts, start=1):
            package = folder / part / "__init__.py"
            single = [folder / f"{part}{suffix}" for suffix in (".py", *_NOT_FOLLOWED)]
            file = next((file for file in (package, *single) if file.is_file()), None)
            if file is not None:
                files.append(file)
                found = depth
            if not (folder / part).is_dir() or file not in (None, package):
                break
            folder /= part
        if files:
            return ".".join(parts[:found]), files
    return "", []


def _follow(files: Iterable[Path], folders: list[Path]) -> list[Path]:
    """``files`` and every user file that they import, directly or not."""
    seen: dict[Path, None] = {}
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen[file] = None
            waiting += _imported(file, folders)
    return list(seen)


def _imported(file: Path, folders: list[Path]) -> list[Path]:
    if _why_not(file) is not None:
        return []
    found: list[Path] = []
    for level, name in _parse(file)[1]:
        if level:
            found += _find(name, [file.parents[level - 1]])[1]
        else:
            found += _find_imported(name, folders)[1]
    return found


def _why_not(file: Path) -> str | None:
    """Why ``file`` cannot be followed; None if it can."""
    return next((why for end, why in _NOT_FOLLOWED.items() if file.name.endswith(end)), None)


def _fingerprint(files: Iterable[Path]) -> str:
    contents = sorted(f"{file.name} {_parse(file)[0]}" for file in files)
    return hashlib.sha256("\n".join(contents).encode()).hexdigest()[:16]


def _parse(file: Path) -> tuple[str, tuple[tuple[int, str], ...]]:
    """Digest of the code in ``file``, and what it imports as ``(level, dotted name)``."""
    stat = file.stat()
    return _parse_version(file, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=1024)
def _parse_version(file: Path, _date: int, _size: int) -> tuple[str, tuple[tuple[int, str], ...]]:
    content = file.read_bytes()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # it will not import either; any change counts
        return hashlib.sha256(content).hexdigest(), ()
    imports = tuple(_imports(tree))
    return hashlib.sha256(_text(tree).encode()).hexdigest(), imports


def _imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [node.module] if node.module else []
            yield from ((node.level, ".".join([*base, alias.name])) for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node) in _IMPORTERS and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield 0, first.value


def _called(call: ast.Call) -> str | None:
    return getattr(call.func, "attr", getattr(call.func, "id", None))


def _text(value: Any) -> str:
    """A syntax tree as text, without docstrings; the same in every version of Python.

    ``ast.dump`` is not: it lists empty fields of newer versions.
    """
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    if not isinstance(value, ast.AST):
        return repr(value)
    fields = dict(ast.iter_fields(value))
    if isinstance(value, _DEFINITIONS) and ast.get_docstring(value, clean=False) is not None:
        fields["body"] = fields["body"][1:]
    inner = ",".join(
        f"{name}={_text(field)}"
        for name, field in fields.items()
        if name not in _SAYS_NOTHING and field not in (None, [])
    )
    return f"{type(value).__name__}({inner})"
