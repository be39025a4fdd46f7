"""From model files to :class:`benchmarks.result.Result`: what is measured, in which processes, when."""
