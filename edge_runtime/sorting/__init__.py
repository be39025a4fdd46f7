"""Sort photos into folders, and undo it."""
