"""Tables that are written piece by piece."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

Write = Callable[[pd.DataFrame], None]


@contextmanager
def open_table(path: Path, kind: str) -> Iterator[Write]:
    """A function that adds rows to the table ``path``; ``kind``: ``csv`` or ``parquet``.

    All pieces have the same columns.
    """
    with _parquet(path) if kind == "parquet" else _csv(path) as write:
        yield write


@contextmanager
def _csv(path: Path) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", newline="") as file:

        def write(rows: pd.DataFrame) -> None:
            rows.to_csv(file, index=False, header=file.tell() == 0, lineterminator="\n")

        yield write


@contextmanager
def _parquet(path: Path) -> Iterator[Write]:
    import pyarrow
    from pyarrow import parquet

    writer: parquet.ParquetWriter | None = None

    def write(rows: pd.DataFrame) -> None:
        nonlocal writer
        schema = None if writer is None else writer.schema
        table = pyarrow.Table.from_pandas(rows, schema=schema, preserve_index=False)
        if writer is None:
            writer = parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)

    try:
        yield write
    finally:
        if writer is not None:
            writer.close()
