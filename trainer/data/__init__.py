"""Photos on the way to the network: folders, splits, decoded pixels, batches."""
