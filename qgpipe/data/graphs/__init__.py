"""Graphs in memory, many at once: how their edges are kept, and how some of them are taken."""
