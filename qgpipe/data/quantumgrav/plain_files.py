"""A store of zarr's that reads plain files and nothing else."""

from typing import Any

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer
from zarr.storage import LocalStore

from qgpipe.data.raw.bad_samples import REMEDY
from qgpipe.data.raw.store_files import require_plain
from qgpipe.errors import DataError


class PlainFiles(LocalStore):
    """A folder of which only plain files are read: zarr would wait for a FIFO."""

    async def get(
        self, key: str, prototype: Any = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """The bytes of a file; ``DataError`` if it is something else."""
        try:
            require_plain(self.root / key)
        except ValueError as error:
            raise DataError(str(error), remedy=f"the store is damaged: {REMEDY}") from None
        return await super().get(key, prototype, byte_range)
