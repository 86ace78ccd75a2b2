"""Tables and figures of results; no files, no Kedro."""
