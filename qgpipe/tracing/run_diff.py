"""Differences between two runs: settings, data, code, versions, machines, results."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from qgpipe.config.load import load_config
from qgpipe.errors import DataError
from qgpipe.provenance.differences import ABSENT, differences
from qgpipe.provenance.record import Record, find_record, read_record, unreadable
from qgpipe.report.tables.result_files import read_metrics, read_summary
from qgpipe.report.tables.results_text import aligned

_ABOUT_TRAINING = ("best_epoch", "best_score", "epochs", "stopped_by", "parameters", "seconds",
                   "graphs_per_second")  # fmt: skip


@dataclass(frozen=True)
class Run:
    """A finished run, with the records of its inputs that still match."""

    folder: Path
    config: Mapping[str, Any]
    records: list[Record]

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The run in ``folder``. Raises ``DataError`` if there is no readable record."""
        file = folder / "train.provenance.json"
        train = read_record(file)
        if train is None and file.exists():
            raise unreadable(file)
        if train is None or not (folder / "config.yaml").exists():
            raise DataError(
                f"{folder} is not the folder of a finished run",
                remedy="name two folders in training.path, results/runs/first for instance",
            )
        test = read_record(folder / "test" / "test.provenance.json")
        found = {record.file: record for record in (train, test) if record is not None}
        waiting = list(found.values())
        while waiting:
            for path, checksum in waiting.pop().inputs.items():
                record = find_record(path)
                if record is not None and record.outputs[path] == checksum:
                    waiting += [record] if record.file not in found else []
                    found[record.file] = record
        return cls(folder, load_config(folder / "config.yaml"), list(found.values()))

    def data(self) -> dict[str, str]:
        """Checksums (first digits) of the training data and of its raw stores."""
        inputs = self.records[0].inputs
        stores = {
            path.name: checksum
            for record in self.records
            for path, checksum in record.inputs.items()
            if checksum.startswith("store:")
        }
        files = {path.name: checksum[:23] for path, checksum in inputs.items()}
        return {**files, **stores}

    def code(self) -> dict[str, str]:
        """Fingerprints of the user's modules."""
        return {
            module: fingerprint
            for record in self.records
            for module, fingerprint in ((record.content["section"] or {}).get("code") or {}).items()
        }

    def predictions(self) -> dict[str, str]:
        """Checksums (first digits) of the tables of predictions."""
        files = sorted((self.folder / "predict").glob("*.provenance.json"))
        records = [record for file in files if (record := read_record(file)) is not None]
        return {
            path.name: checksum[:23]
            for record in records
            for path, checksum in record.outputs.items()
        }

    def by_stage(self, key: str) -> dict[str, Any]:
        """An entry of the records of training and test."""
        return {r.stage: r.content[key] for r in self.records if r.stage in ("train", "test")}

    def topics(self) -> dict[str, Any]:
        """The values to compare with another run, by topic."""
        return {
            "settings": self.config,
            "data": self.data(),
            "predictions": self.predictions(),
            "code": self.code(),
            "versions": self.by_stage("versions"),
            "git": self.by_stage("git"),
            "machine": {"host": self.by_stage("host"), "device": self.by_stage("device")},
        }

    def results(self) -> dict[str, Any]:
        """Test metrics and a summary of the training. Raises ``DataError`` for damaged files."""
        found: dict[str, Any] = {}
        if (metrics := self.folder / "test" / "metrics.json").exists():
            content = read_metrics(metrics)
            found["test loss_avg"] = content["loss"]["loss_avg"]
            found |= {f"test {name}": value for name, value in content["metrics"].items()}
        if (summary := self.folder / "summary.json").exists():
            content = read_summary(summary)
            found |= {name: content[name] for name in _ABOUT_TRAINING}
        return found


def diff_text(first: Run, second: Run) -> str:
    """The differences between two runs as text, by topic."""
    lines, after = [], second.topics()
    for topic, before in first.topics().items():
        found = [f"  {difference}" for difference in differences(before, after[topic])]
        lines += [topic, *found] if found else [f"{topic}: the same"]
    return "\n".join([*lines, *_results_table(first, second)])


def _results_table(first: Run, second: Run) -> list[str]:
    before, after = first.results(), second.results()
    rows: list[Sequence[Any]] = [("results", str(first.folder), str(second.folder), "difference")]
    for name in {**before, **after}:
        old, new = before.get(name, ABSENT), after.get(name, ABSENT)
        numbers = isinstance(old, int | float) and isinstance(new, int | float)
        rows.append((f"  {name}", old, new, f"{new - old:+.4g}" if numbers else ""))
    return aligned(rows)
