"""irp-kedro: clean contaminated image sets for industrial anomaly detection."""

__version__ = "0.1.0"
