"""The environment of a job: package versions, git revisions, machine and device."""

import functools
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import qgpipe

_GIT_SECONDS = 20


def versions(names: Iterable[str] = ()) -> dict[str, str]:
    """Versions of Python, qgpipe, its dependencies, and the packages ``names``."""
    try:
        required = metadata.requires("qgpipe") or []
    except metadata.PackageNotFoundError:  # qgpipe is not installed
        required = []
    needed = [re.split(r"[^\w.-]", line)[0] for line in required if "extra ==" not in line]
    found = {"python": platform.python_version(), "qgpipe": qgpipe.__version__}
    for name in sorted({re.sub(r"[-_.]+", "-", name).lower() for name in (*needed, *names)}):
        if (version := _version(name)) is not None:
            found.setdefault(name, version)
    return found


def revisions(project: Path) -> dict[str, dict[str, Any]]:
    """Git revisions of qgpipe's clone and of ``project``, and whether there are changes.

    There is no entry for a folder outside of a repository, nor for a project in qgpipe's clone.
    """
    package = Path(qgpipe.__file__).resolve().parent
    own, theirs = _revision(package), _revision(project)
    found = {}
    if own is not None and own["folder"] == package.parent:
        found["qgpipe"] = own
    if theirs is not None and theirs not in found.values():
        found["project"] = theirs
    changes = ("status", "--porcelain", "--untracked-files=no")  # of tracked files
    return {
        name: {"revision": entry["revision"], "dirty": bool(_git(entry["folder"], *changes))}
        for name, entry in found.items()
    }


def host() -> dict[str, Any]:
    """Name, operating system and number of processors of this machine."""
    return {"name": platform.node(), "system": platform.platform(), "cpus": os.cpu_count()}


def device(setting: str) -> str:
    """What ``training.device`` means in this process: ``cpu``, or ``cuda`` with the GPU's name."""
    torch = sys.modules.get("torch")
    if torch is None or setting == "cpu" or not torch.cuda.is_available():
        return "cpu"
    chosen = "cuda" if setting == "auto" else setting
    return f"{chosen} ({torch.cuda.get_device_name(chosen)})"


@functools.cache
def _version(name: str) -> str | None:
    """Version of an installed package; None if there is none of that name.

    Parsing the complete metadata of twenty packages would take longer than some jobs.
    """
    try:
        text = metadata.distribution(name).read_text("METADATA") or ""
    except metadata.PackageNotFoundError:
        return None
    found = re.search(r"^Version: *(\S+)", text, re.MULTILINE)
    return found[1] if found else None


def _revision(folder: Path) -> dict[str, Any] | None:
    lines = _git(folder, "rev-parse", "--show-toplevel", "HEAD")
    if lines is None or len(lines) != 2:
        return None
    return {"folder": Path(lines[0]), "revision": lines[1]}


def _git(folder: Path, *arguments: str) -> list[str] | None:
    """The lines that git prints; None if it fails or is not installed."""
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.splitlines()
