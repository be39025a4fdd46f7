"""Model folders for servers: NVIDIA Triton and TensorFlow Serving."""
