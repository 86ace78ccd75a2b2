"""Named random streams: the same seed and names give the same numbers, whatever else has been drawn."""

import hashlib

import numpy as np


def stream_seed(seed: int, *names: str | int) -> int:
    """Return a 63-bit seed for the stream called ``names`` under ``seed``.

    >>> stream_seed(0, "contamination") == stream_seed(0, "contamination")
    True
    >>> stream_seed(0, "contamination") == stream_seed(0, "views")
    False
    """
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return the generator of the stream called ``names`` under ``seed``."""
    return np.random.default_rng(stream_seed(seed, *names))


def digest_order(digests: list[str], seed: int, *names: str | int) -> list[int]:
    """Return positions in an order that depends on contents and seed, not on names or on the order given.

    Equal digests keep the order given: their images are the same bytes.

    >>> a = ["x", "y", "z"]
    >>> [a[i] for i in digest_order(a, 1)] == [a[::-1][i] for i in digest_order(a[::-1], 1)]
    True
    """
    prefix = "/".join(str(part) for part in (seed, *names))
    keys = [hashlib.sha256(f"{prefix}/{digest}".encode()).digest() for digest in digests]
    return sorted(range(len(digests)), key=keys.__getitem__)
