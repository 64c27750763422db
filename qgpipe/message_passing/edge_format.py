"""The format of edges in a batch: pairs of indices, neighbour lists, or dense blocks."""

from typing import Literal

EdgeFormat = Literal["edges", "csr", "dense"]
