"""This cell's summary, and the tables over all cells found."""
