"""Two results of the same configurations: what became slower, larger or worse, and what noise is."""
