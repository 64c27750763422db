"""Records as Snakemake logs them."""

import pytest
from snakemake_interface_logger_plugins.common import LogEvent


class Records:
    """Makes the records of a run, as dictionaries."""

    @staticmethod
    def plan(**counts):
        return {"event": LogEvent.RUN_INFO, "stats": {**counts, "total": sum(counts.values())}}

    @staticmethod
    def start(number, rule, *outputs, message=None, log=(), **wildcards):
        return {
            "event": LogEvent.JOB_INFO,
            "jobid": number,
            "rule_name": rule,
            "rule_msg": message,
            "wildcards": wildcards,
            "output": list(outputs),
            "log": list(log),
        }

    @staticmethod
    def finish(number):
        return {"event": LogEvent.JOB_FINISHED, "job_id": number}

    @staticmethod
    def fail(number, rule, *log):
        return {
            "event": LogEvent.JOB_ERROR, "jobid": number, "rule_name": rule, "log": list(log)
        }  # fmt: skip

    @staticmethod
    def error(level="ERROR"):
        return {"event": LogEvent.ERROR, "levelname": level}


@pytest.fixture
def records():
    """Records as Snakemake logs them, by functions."""
    return Records


@pytest.fixture
def clock():
    """A clock that stands still until it is set: ``clock.now``, in seconds."""

    class Clock:
        now = 100.0

        def __call__(self):
            return self.now

    return Clock()
