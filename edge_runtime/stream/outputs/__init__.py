"""Who is told what a stream sees: one module an output, each on a thread of its own."""
