"""What is found while a configuration is converted."""

from dataclasses import dataclass, field

from qgpipe.config.key_path import Path, format_key
from qgpipe.errors import ConfigError


@dataclass
class Findings:
    """``problems``: what cannot be converted; ``notes``: what was done otherwise than there.

    ``moves``: the new paths of keys that have moved, by the old ones, for tags that refer to them.
    """

    problems: list[ConfigError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    moves: dict[Path, Path] = field(default_factory=dict)

    def refuse(self, path: Path, why: str, remedy: str | None = None) -> None:
        """The value at ``path`` cannot be converted."""
        self.problems.append(ConfigError(why, key=format_key(path), remedy=remedy))

    def note(self, path: Path, what: str) -> None:
        """Something about ``path`` that the user should know."""
        self.notes.append(f"{format_key(path)}: {what}")
