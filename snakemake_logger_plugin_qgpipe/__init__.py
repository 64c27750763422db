"""What Snakemake sees of qgpipe when it starts.

Snakemake imports every installed module called ``snakemake_logger_plugin_*`` before it
reads ``--configfile`` with ``yaml.FullLoader``: registering the tags here makes
``!pyobject`` work in a configuration, and a filter of its log says what is wrong with one.
``--logger qgpipe`` shows how far stages and trainings are.
"""

import logging

from qgpipe.config.tags import register
from snakemake_logger_plugin_qgpipe.configuration import explain
from snakemake_logger_plugin_qgpipe.handler import SNAKEMAKE, LogHandler

__all__ = ["LogHandler"]

register()
logging.getLogger(SNAKEMAKE).addFilter(explain)

# On a full disk Snakemake's own log cannot grow. Every line would say so, with a traceback,
# around the one that tells which job has failed.
logging.raiseExceptions = False
