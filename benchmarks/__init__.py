"""What each model file of a bundle costs on this machine: time, memory, size, accuracy."""
