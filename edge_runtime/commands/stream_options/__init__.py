"""The options of ``edge-classify stream``, a module for each thing that they are about.

Each has a decorator, which gives the command one object in place of its options.
"""
