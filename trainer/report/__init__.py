"""The figures of a run in pictures, tables and one page."""
