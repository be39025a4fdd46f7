"""Cross-validation: folds, their trainings on this machine or a cluster, and the figures."""
