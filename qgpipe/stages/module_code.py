"""Fingerprints of the user's own code, without importing it.

The fingerprint of a module is computed from its syntax tree, without docstrings, comments and
layout, and from the modules that it imports from the user's folders. Installed packages and qgpipe
itself are not followed: sections contain the format version of a stage instead.
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
_IGNORED_FIELDS = {"ctx", "kind", "type_comment", "type_ignores"}  # of syntax trees


@dataclass(frozen=True)
class Code:
    """The user's code that a section names.

    ``modules``: for each named module, its own files and those that it imports, directly or not.
    ``not_followed``: the files among them that cannot be read as Python, and why.
    """

    modules: dict[str, tuple[Path, ...]]
    not_followed: dict[Path, str]


def code_fingerprints(section: Any, folders: Iterable[Path]) -> dict[str, str]:
    """``{module: fingerprint}`` of the user modules that ``section`` names.

    ``section``: nested mappings and lists. Every string in it is used that looks like a dotted
    name and whose first part is a module in one of ``folders``.
    """
    fingerprints = {}
    for module, files in find_code(section, folders).modules.items():
        contents = sorted(f"{file.name} {_parse(file)[0]}" for file in files)
        fingerprints[module] = hashlib.sha256("\n".join(contents).encode()).hexdigest()[:16]
    return fingerprints


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
    """As ``_find``; nothing if ``import`` would find an installed package instead."""
    module, files = _find(name, folders)
    if files and is_installed(name.partition(".")[0]):
        return "", []
    return module, files


def _find(name: str, folders: list[Path]) -> tuple[str, list[Path]]:
    """The longest prefix of ``name`` that is a module in one of ``folders``, and its files.

    The files are the module's own and the ``__init__.py`` of the packages that contain it.
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


def _parse(file: Path) -> tuple[str, tuple[tuple[int, str], ...]]:
    """Digest of the code in ``file``, and its imports as ``(level, dotted name)``."""
    stat = file.stat()
    return _parse_version(file, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=1024)
def _parse_version(file: Path, _date: int, _size: int) -> tuple[str, tuple[tuple[int, str], ...]]:
    content = file.read_bytes()
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # it cannot be imported either: use its bytes
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
        elif isinstance(node, ast.Call) and node.args:
            called = getattr(node.func, "attr", getattr(node.func, "id", None))
            name = getattr(node.args[0], "value", None)
            if called in _IMPORTERS and isinstance(name, str):
                yield 0, name


def _text(value: Any) -> str:
    """A syntax tree as text, without docstrings, equal in all versions of Python.

    ``ast.dump`` differs: it lists empty fields that newer versions have.
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
        if name not in _IGNORED_FIELDS and field not in (None, [])
    )
    return f"{type(value).__name__}({inner})"
