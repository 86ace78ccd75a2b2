"""Choose the threshold factor on a set known to be clean. Not part of ``__default__``."""
