"""``python -m qgpipe.cli``."""

import sys

from qgpipe.cli import main

sys.exit(main())
