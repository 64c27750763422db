"""A finished run, loaded from its folder."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from qgpipe import paths
from qgpipe.config.load import load_config, user_folders
from qgpipe.config.objects import add_search_path
from qgpipe.config.resolve import resolve_config
from qgpipe.config.trust import imports_for, unknown_names, untrusted
from qgpipe.config.types import Config
from qgpipe.errors import DataError
from qgpipe.provenance.record import made_here, read_record


@dataclass(frozen=True)
class RunFolder:
    """The run in ``folder``: its resolved ``config``, and the folders of the user's ``code``.

    ``trust``: whether all names in it may be imported although it was not trained here.
    """

    folder: Path
    config: Config
    code: tuple[Path, ...]
    trust: bool = False

    @property
    def config_file(self) -> Path:
        """The resolved configuration as it was when the model was trained."""
        return self.folder / "config.yaml"

    @property
    def model(self) -> Path:
        """The model that was tested."""
        return self.folder / paths.final_model(self.config).name

    def made_here(self) -> bool:
        """Whether this user trained it in this folder, and it is unchanged."""
        return made_here(self.config_file) and made_here(self.model)

    def imports(self, with_reading: bool = False) -> AbstractContextManager[None]:
        """A block in which the names in the model section can be imported.

        ``with_reading``: also names for reading stores and calling the model. Raises
        ``UntrustedName`` for names that are not known parts of models and readers
        (``qgpipe.config.trust``), unless the run was trained here or is trusted.
        """
        used: dict[str, Any] = {"model": self.config["model"]}
        if with_reading:
            own = self.config["testing"].get("data")
            used |= {"data": self.config["data"], "testing": {"data": own}}
            used["apply_model"] = self.config["apply_model"]
        made_here = self.made_here()
        unknown = unknown_names(used)
        if unknown and not self.trust and not made_here:
            raise untrusted(str(self.folder), unknown)  # a reader may run in other processes
        trust = self.trust and not made_here
        return imports_for(str(self.folder), used, trust=trust, made_here=lambda: made_here)

    @classmethod
    def open(cls, folder: Path, trust: bool = False) -> Self:
        """The run in ``folder``; its user modules are added to the search path.

        Raises ``DataError`` if there is no finished run.
        """
        config_file = folder / "config.yaml"
        for file in (config_file, folder / "model.pt"):
            _require(file)
        raw = load_config(config_file)
        code = code_folders(raw, config_file)
        add_search_path(*code)
        run = cls(folder, resolve_config(raw, str(config_file)), code, trust)
        _require(run.model)
        return run


def _require(file: Path) -> None:
    if not file.is_file():
        raise DataError(
            f"{file.parent} is not the folder of a finished run: it has no {file.name}",
            remedy="name a folder in training.path, results/runs/first for instance",
        )


def code_folders(raw: Mapping[str, Any], file: Path, *over: Path) -> tuple[Path, ...]:
    """Where the user's modules are looked for.

    ``raw``, ``file``, ``over``: a configuration, and the files that it is read from; for that in
    the folder of a run they are looked for beside those that the run was started with.
    """
    record = read_record(file.parent / "train.provenance.json")
    made = {} if record is None else record.outputs
    if record is not None and file.resolve() in {path.resolve() for path in made}:
        return user_folders(raw, *record.config_files)
    return user_folders(raw, file, *over)
