"""Run a model file once where a crash does no harm."""
