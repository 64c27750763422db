"""Fingerprints of the user's own code, without importing it.

The fingerprint of a module is that of its syntax tree, without docstrings, comments and
layout, and of the modules that it imports from the user's own folders. What is
installed (and qgpipe itself) is not followed: qgpipe counts by the format versions in
``sections``.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from qgpipe.config.objects import dotted_name


def code_fingerprints(section: Any, folders: Iterable[Path]) -> dict[str, str]:
    """``{module: fingerprint}`` of the user modules that ``section`` names.

    ``section`` is any nesting of mappings and lists; every string in it that looks like a
    dotted name and whose first part is a module in one of ``folders`` counts.
    """
    folders = list(folders)
    modules = {}
    for text in _strings(section):
        name = dotted_name(text)
        if "." not in name or not name.replace(".", "_").isidentifier():
            continue
        if (found := _find(name, folders)) is not None:
            modules[found[0]] = found[1]
    return {name: _fingerprint(path, folders) for name, path in sorted(modules.items())}


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _strings(inner)


def _find(name: str, folders: list[Path]) -> tuple[str, Path] | None:
    """The longest prefix of ``name`` that is a module in ``folders``, and its file."""
    parts = name.split(".")
    if parts[0] == "qgpipe":
        return None
    for end in range(len(parts), 0, -1):
        for folder in folders:
            base = folder.joinpath(*parts[:end])
            for candidate in (base.with_suffix(".py"), base / "__init__.py"):
                if candidate.is_file():
                    return ".".join(parts[:end]), candidate
    return None


def _fingerprint(path: Path, folders: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(_followed(path, folders), key=lambda f: (f.name, f.parent.name)):
        digest.update(file.name.encode())
        digest.update(_tree(file)[1].encode())
    return digest.hexdigest()[:16]


def _followed(path: Path, folders: list[Path]) -> set[Path]:
    """``path`` and every user file that it imports, directly or not."""
    seen: set[Path] = set()
    waiting = [path]
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen.add(file)
        waiting += _imported(file, folders)
    return seen


def _imported(file: Path, folders: list[Path]) -> list[Path]:
    found: list[Path] = []
    for node in ast.walk(_tree(file)[0]):
        names: list[str] = []
        search = folders
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            names = [".".join(filter(None, (base, alias.name))) for alias in node.names]
            if node.level:
                search = [file.parents[node.level - 1]]
        modules = (_find(name, search) for name in names)
        found += [module[1] for module in modules if module is not None]
    return found


def _tree(file: Path) -> tuple[ast.Module, str]:
    """The syntax tree of ``file`` and its text without docstrings; raw text if it has errors."""
    text = file.read_text(encoding="utf-8")
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return ast.Module(body=[], type_ignores=[]), text
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    return tree, ast.dump(tree)
