"""Keep the frames of a stream that are worth labelling, in folders that ``edge-train`` reads."""
