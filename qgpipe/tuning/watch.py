"""Reports each epoch of a trial, and says whether it is worth going on."""

import logging
from collections.abc import Mapping
from typing import Any

from qgpipe.compat.private import trial_id
from qgpipe.errors import ConfigError
from qgpipe.training.loggers.history import VALIDATION
from qgpipe.tuning.study import PRUNED_AT

logger = logging.getLogger(__name__)


class Watch:
    """What a trainer tells of each epoch of a trial, on its way to the pruner of the study."""

    def __init__(self, handle: Any, metric: str):
        """``handle``: Optuna's trial; ``metric``: the column of the validation results."""
        self.handle, self.metric = handle, metric

    def __call__(self, row: Mapping[str, Any], last: bool) -> bool:
        """Report ``row`` of the history; whether to end the trial, unless it ends anyway.

        A row that was reported before the process was killed says the same again. Raises
        ``ConfigError`` if the validator gives no such column.
        """
        epoch, value = row["epoch"], score(row, self.metric)
        known = self.handle.storage.get_trial(trial_id(self.handle)).intermediate_values
        if epoch not in known:
            self.handle.report(value, epoch)
        if last or not self.handle.should_prune():
            return False
        logger.info("pruned after epoch %d: %s is %g", epoch, self.metric, value)
        self.handle.set_user_attr(PRUNED_AT, epoch)
        return True


def score(row: Mapping[str, Any], metric: str) -> float:
    """The value of ``metric`` in a row of the history; ``ConfigError`` if there is none."""
    value = row.get(f"{VALIDATION}{metric}")
    if value is None:
        known = [k.removeprefix(VALIDATION) for k in row if k.startswith(VALIDATION)]
        raise ConfigError(
            f"the validation results have no column '{metric}'",
            key="tune.metric",
            remedy=f"the columns are {', '.join(known)}",
        )
    return float(value)
