"""The network: backbones, their weights, the classifier, and starting from an earlier run."""
