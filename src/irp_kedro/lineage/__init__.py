"""Which images a model was trained on, which left when and why: snapshots, kept by DVC or as plain files."""
