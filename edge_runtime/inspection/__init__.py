"""What ``edge-classify info`` reports of a model."""
