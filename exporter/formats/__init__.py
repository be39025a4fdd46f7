"""One module a format; :mod:`exporter.formats.registry` lists them.

Each module has ``convert(job)``, which runs in the converting process and writes the plain file;
its description is added afterwards (:mod:`exporter.metadata`), when its figures are known.
"""
