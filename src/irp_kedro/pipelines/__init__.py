"""Pipelines: one package each; they meet only in the catalog."""
