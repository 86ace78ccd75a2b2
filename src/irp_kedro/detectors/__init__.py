"""Anomaly detectors over the feature bank: one file a detector, one line in the registry."""
