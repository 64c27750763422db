"""The format that edges have in a batch: pairs of indices, lists of neighbours, or dense blocks."""

from typing import Literal

EdgeFormat = Literal["edges", "csr", "dense"]
