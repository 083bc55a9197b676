"""The hash by which samples and groups are put into a random order that does not depend on the others."""

from __future__ import annotations

from hashlib import blake2b


def seeded_hash(seed: int, key: bytes) -> int:
    """Return a hash of the seed and the key, a number of 64 bits. It is the same on every machine."""
    return int.from_bytes(blake2b(b"%d\0" % seed + key, digest_size=8).digest(), "big")
