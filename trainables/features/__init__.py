"""Features of frozen stages: computed once, cached in memory and on disk, and found again by fingerprint.

It stands on `trainables.data` and `trainables.store`. Training and regimes import it.
"""
