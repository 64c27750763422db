"""QuantumGravPy's names over the parts of qgpipe."""

import sys

import qgpipe.compat.quantumgrav as names

sys.modules[__name__] = names
