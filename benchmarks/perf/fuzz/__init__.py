"""Damaged photos and models by the thousand, in processes that are watched.

``python -m benchmarks.perf.fuzz BUNDLE`` runs it; every input is made of its number alone, so that
a failing one can be made again.
"""
