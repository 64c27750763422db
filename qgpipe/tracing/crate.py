"""A Workflow Run RO-Crate: artifacts, how they were made, and the workflow, in one folder.

Profile: https://w3id.org/ro/wfrun/workflow/0.5. Parts and raw stores are large: they are referenced
by ``file:`` URIs with checksums, all other files are copied.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rocrate.model import ContextEntity, Entity
from rocrate.rocrate import ROCrate

import qgpipe
from qgpipe.config.load import load_config, user_folders
from qgpipe.errors import DataError
from qgpipe.provenance.chain import Link
from qgpipe.provenance.record import Record
from qgpipe.stages.module_code import find_code
from qgpipe.stages.registry import STAGES
from qgpipe.system.files import atomic_path
from qgpipe.tracing.settings_now import SettingsNow
from qgpipe.workflow_folder import workflow_folder

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": "Process Run Crate",
    "https://w3id.org/ro/wfrun/workflow/0.5": "Workflow Run Crate",
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": "Workflow RO-Crate",
}
LARGE = ("generate", "preprocess")
BINARY = "application/octet-stream"
FORMATS = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
    ".py": "text/x-python",
    ".smk": "text/x-python",
    ".svg": "image/svg+xml",
    ".yaml": "application/yaml",
}


def write_crate(links: Sequence[Link], folder: Path) -> None:
    """Write the crate of the chain ``links`` to ``folder``, which must not exist yet.

    Raises ``DataError`` if it does, if an artifact, the configuration or code does not match the
    records, or if the workflow is not found.
    """
    if folder.exists():
        raise DataError(f"{folder} exists", remedy="name a new folder")
    broken = [link.path for link in links if link.state != "holds"]
    if broken:
        raise DataError(
            f"{broken[0]} is not what was recorded, or its record is lost",
            remedy="run the pipeline again, or see what 'qgpipe trace' says of it",
        )
    _require_same_settings(record for link in links if (record := link.record))
    with atomic_path(folder) as temporary:
        _Crate(links).crate.write(temporary)


def _require_same_settings(records: Iterable[Record]) -> None:
    """Raise ``DataError`` if configuration or code, which are copied, differ from the records."""
    now = SettingsNow()
    for record in records:
        said = now.of(record)
        if said.file is not None and (said.changes or said.problem):
            raise DataError(
                f"{said.file} or code that it names is not as in {record.stage}: "
                f"{said.problem or said.changes[0]}",
                remedy="change it back, or run the pipeline again",
            )


class _Crate:
    """A crate that is being filled."""

    def __init__(self, links: Sequence[Link]):
        self.crate = ROCrate(version="1.1")
        records = {record.file: record for link in links if (record := link.record)}
        self._scripts = self._add_scripts()
        self._artifacts = {link.path.resolve(): self._add_artifact(link) for link in links}
        actions = [self._add_job(record) for record in records.values()]
        whole = self._add_run(list(records.values()), links)
        root = self.crate.root_dataset
        root["name"] = f"A run of qgpipe: {links[0].path.parent}"
        root["description"] = "Results of qgpipe, and the jobs that made them from the raw data"
        root["datePublished"] = datetime.now(UTC).date().isoformat()
        root["license"] = "not stated"
        root["mentions"] = [whole, *actions]
        root["conformsTo"] = [self._add_profile(*profile) for profile in PROFILES.items()]

    def _add_profile(self, address: str, name: str) -> Entity:
        facts = {"@type": "CreativeWork", "name": name, "version": address.rpartition("/")[2]}
        return self.crate.add(ContextEntity(self.crate, address, facts))

    def _add_scripts(self) -> dict[str, Entity]:
        """Add the workflow; returns the script (or command) of each stage."""
        folder = workflow_folder()
        version = {"version": qgpipe.__version__}
        self.crate.add_workflow(
            folder / "Snakefile", "workflow/Snakefile", main=True, lang="snakemake",
            properties={
                "name": "qgpipe", "license": "MIT", "encodingFormat": FORMATS[".smk"], **version
            },
        )  # fmt: skip
        for file in sorted(folder.glob("rules/*.smk")):
            self._add_file(file, f"workflow/rules/{file.name}")
        scripts = {}
        commands = Path(qgpipe.__file__).parent / "cli"
        for name, stage in STAGES.items():
            place = folder / "scripts" / stage.rule if stage.rule else commands / name
            file = place.with_name(f"{place.name}.py")
            facts = {
                "@type": ["File", "SoftwareSourceCode"],
                "name": f"{name} of qgpipe",
                "description": stage.title,
            }
            scripts[name] = self._add_file(
                file, f"workflow/scripts/{file.name}", **facts, **version
            )
        return scripts

    def _add_artifact(self, link: Link) -> Entity:
        checksum = min(link.recorded)
        if link.record is not None and link.record.stage not in LARGE:
            return self._add_file(link.path, _inside(link.path), identifier=checksum)
        address = link.path.resolve().as_uri()
        facts = {"name": link.path.name, "identifier": checksum}
        if link.path.is_dir():
            return self.crate.add_dataset(address, properties=facts)
        return self.crate.add_file(address, properties={**facts, "encodingFormat": BINARY})

    def _add_job(self, record: Record) -> Entity:
        """The action of a job, with its record, which holds further details."""
        facts = {
            "name": f"{record.stage} of {next(iter(record.outputs))}",
            "description": f"on {record.content['host']['name']} ({record.content['device']})",
            **_times([record]),
        }
        notes = self._add_file(record.file, _inside(record.file))
        action = self.crate.add_action(
            self._scripts[record.stage],
            object=self._entities(record.inputs),
            result=self._entities(record.outputs),
            properties=facts,
        )
        action["subjectOf"] = notes
        return action

    def _add_run(self, records: Sequence[Record], links: Sequence[Link]) -> Entity:
        """The workflow as a whole: from configurations, code and raw stores to all the rest."""
        files = dict.fromkeys(file for record in records for file in record.config_files)
        raw = [self._artifacts[link.path.resolve()] for link in links if link.record is None]
        return self.crate.add_action(
            self.crate.mainEntity,
            object=_one_or_all([*self._add_settings(files), *raw]),
            result=self._entities(link.path for link in links if link.record is not None),
            properties={
                "name": "the whole run",
                "description": "all jobs together, from raw data to the newest artifact",
                **_times(records),
            },
        )

    def _add_settings(self, files: Iterable[Path]) -> list[Entity]:
        """Configuration files, and the files of the user's code that they name."""
        added = {}
        for file in files:
            if not file.exists():
                continue
            config = load_config(file)
            code = find_code(config, user_folders(config, file))
            for path in (file, *(path for module in code.modules.values() for path in module)):
                added[path.resolve()] = path
        return [self._add_file(path, _inside(path)) for path in added.values()]

    def _add_file(self, path: Path, inside: str, **facts: Any) -> Entity:
        facts = {"name": path.name, "encodingFormat": FORMATS.get(path.suffix, BINARY), **facts}
        return self.crate.add_file(path, inside, properties=facts)

    def _entities(self, paths: Iterable[Path]) -> Entity | list[Entity]:
        """The entities of ``paths`` that are in the crate: a job may have made more files."""
        places = (path.resolve() for path in paths)
        return _one_or_all([self._artifacts[p] for p in places if p in self._artifacts])


def _one_or_all(entities: list[Entity]) -> Entity | list[Entity]:
    """A single entity without a list, as the specification recommends."""
    return entities[0] if len(entities) == 1 else entities


def _inside(path: Path) -> str:
    """The path of a file in the crate: as in the working directory, or below ``elsewhere``."""
    absolute, here = path.resolve(), Path.cwd()
    if absolute.is_relative_to(here):
        return absolute.relative_to(here).as_posix()
    return Path("elsewhere", *absolute.parts[1:]).as_posix()


def _times(records: Sequence[Record]) -> dict[str, Any]:
    started = [datetime.fromisoformat(record.content["started"]) for record in records]
    ended = [
        start + timedelta(seconds=record.content["seconds"])
        for start, record in zip(started, records, strict=True)
    ]
    return {
        "startTime": min(started).isoformat(timespec="seconds"),
        "endTime": max(ended).isoformat(timespec="seconds"),
        "actionStatus": "http://schema.org/CompletedActionStatus",
    }
