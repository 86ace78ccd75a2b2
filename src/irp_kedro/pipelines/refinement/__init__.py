"""The strategies side by side, each in its own namespace."""
