"""The backends: one file each, that decides what to train next (floor 3)."""
