"""Searches for the best settings with Optuna: resumable studies, trials shared by jobs.

Optuna is imported where it is used: it is the optional extra ``qgpipe[tune]``.
"""
