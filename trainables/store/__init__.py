"""What is computed once and kept on disk: the store of arrays, its progress files, and atomic file writes.

Nothing here needs torch. Every room of `trainables` may import it.
"""
