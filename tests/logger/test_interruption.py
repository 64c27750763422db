"""Ctrl-C twice."""

import subprocess
import sys

WORKS = """
import os, signal, time
from snakemake_logger_plugin_qgpipe.interruption import interrupt_once

{before}
interrupt_once()
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
except KeyboardInterrupt:
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)
    print("all is saved")
"""


def run(before=""):
    command = [sys.executable, "-c", WORKS.format(before=before)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_first_interrupts_and_each_further_one_is_answered_by_a_line():
    done = run()
    assert (done.returncode, done.stdout) == (0, "all is saved\n")
    assert done.stderr == 2 * "stopping already, as soon as jobs have saved\n"


def test_a_handler_of_somebody_elses_stays():
    done = run("signal.signal(signal.SIGINT, lambda *_: os._exit(5))")
    assert (done.returncode, done.stderr) == (5, "")
