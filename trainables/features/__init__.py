"""Features of frozen stages: computed once, cached in memory and on disk, and found again by a fingerprint.

This package uses `trainables.data` and `trainables.store`. Training and regimes import it.
"""
