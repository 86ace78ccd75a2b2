"""The ceiling: the same detector and budget on the truly clean set. Only where labels exist."""
