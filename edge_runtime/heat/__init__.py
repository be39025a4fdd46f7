"""Where a network looked: heat maps as pictures, and Grad-CAM on the full model."""
