"""What a trained network is worth: figures, thresholds, label errors, comparisons."""
