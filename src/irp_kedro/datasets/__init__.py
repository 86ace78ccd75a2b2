"""Image sources and Kedro datasets: the only home of paths."""
