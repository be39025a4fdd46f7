"""Interpreters behind one interface: :class:`~edge_runtime.backends.base.Backend`.

Nothing is imported here, so that a device loads only the interpreter that it uses.
"""
