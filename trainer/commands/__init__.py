"""The commands of ``edge-train``, one a module; heavy imports happen inside them."""
