"""Curves and pictures for TensorBoard and Weights & Biases."""
