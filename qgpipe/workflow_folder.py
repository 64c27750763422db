"""Where the Snakefile is, with its rules and scripts."""

from pathlib import Path

import qgpipe
from qgpipe.errors import DataError


def workflow_folder() -> Path:
    """The folder of the Snakefile: the clone, or what an installed wheel brings along.

    Raises ``DataError`` if there is neither.
    """
    package = Path(qgpipe.__file__).resolve().parent
    for folder in (package.parent, package / "pipeline"):
        if (folder / "Snakefile").is_file():
            return folder
    raise DataError(
        f"there is no Snakefile in {package.parent} nor {package / 'pipeline'}",
        remedy="install qgpipe again, from a wheel or with make in a clone",
    )
