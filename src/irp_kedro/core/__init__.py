"""The method itself: pure functions and values over numpy and pandas. No files, no Kedro, no torch."""
