"""Results that are computed once and kept on disk: the store of arrays, its progress files, and atomic file writes.

Nothing here needs torch. Every other package of `trainables` may import it.
"""
