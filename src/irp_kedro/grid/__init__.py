"""Many cells as one command: a plan, its cells, their execution on Dask, what is done and what it costs."""
