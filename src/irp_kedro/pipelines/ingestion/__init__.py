"""Obtain a source, validate every image, and state how it is prepared."""
