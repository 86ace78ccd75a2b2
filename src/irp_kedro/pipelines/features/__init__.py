"""Extract every image's features once, into the bank."""
