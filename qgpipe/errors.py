"""Errors that a user can mend: one or two lines, without a traceback.

Anything else that is raised is a bug and keeps its traceback.
"""


class QgpipeError(Exception):
    """Base of everything that a user can mend.

    ``where`` says what the message is about (a file, a config key, a store, a sample),
    ``problem`` what is wrong, ``remedy`` what to do. They are joined to one line.
    """

    def __init__(self, problem: str, *, where: str | None = None, remedy: str | None = None):
        super().__init__(problem, where, remedy)
        self.problem = problem
        self.where = where
        self.remedy = remedy

    def __reduce__(self) -> tuple:
        """Pickle by state, so that worker processes can hand the error over."""
        return _rebuild, (type(self), dict(self.__dict__))

    def __str__(self) -> str:
        text = f"{self.where}: {self.problem}" if self.where else self.problem
        return f"{text}; {self.remedy}" if self.remedy else text


class ConfigError(QgpipeError):
    """A key of the configuration is missing, misspelt or has a wrong value.

    ``key`` is the dotted path, ``model.encoder_kwargs.layers[0]`` for instance.
    """

    def __init__(
        self,
        problem: str,
        *,
        key: str | None = None,
        file: str | None = None,
        remedy: str | None = None,
    ):
        super().__init__(problem, remedy=remedy)
        self.key = key
        self.file = file

    def __str__(self) -> str:
        self.where = ": ".join(part for part in (self.file, self.key) if part) or None
        return super().__str__()


class DataError(QgpipeError):
    """A store, a sample, an array or a part file is not as it should be."""

    def __init__(
        self,
        problem: str,
        *,
        store: str | None = None,
        sample: int | str | None = None,
        array: str | None = None,
        remedy: str | None = None,
    ):
        parts = (
            store,
            f"sample {sample}" if sample is not None else None,
            f"array '{array}'" if array else None,
        )
        super().__init__(problem, where=", ".join(p for p in parts if p) or None, remedy=remedy)


class TrainingError(QgpipeError):
    """Training cannot go on: a loss that is not a number, a monitor that fails, no memory."""


class DivergenceError(TrainingError):
    """A loss, a gradient or a weight is no longer a finite number."""


class OutOfMemoryError(TrainingError):
    """A model or a batch does not fit into memory."""


class DiskFullError(QgpipeError):
    """There is no room for a file; what was there before is as it was."""


def _rebuild(cls: type[QgpipeError], state: dict) -> QgpipeError:
    error = cls.__new__(cls)
    Exception.__init__(error, state["problem"], state["where"], state["remedy"])
    error.__dict__.update(state)
    return error
