"""The format that edges have in a batch: pairs of indices, lists of neighbours, or dense blocks."""

from __future__ import annotations

from typing import Literal

EdgeFormat = Literal["edges", "csr", "dense"]
