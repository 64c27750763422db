"""The commands of ``qgpipe``, a module each.

A command module has ``HELP``, one line; ``add_arguments(parser)``; and ``run(arguments)``, which
prints and returns the exit code. Modules import what is slow inside ``run``.
"""
