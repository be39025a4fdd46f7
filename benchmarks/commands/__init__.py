"""The commands of ``edge-bench``, one module each."""
