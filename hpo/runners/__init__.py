"""The runners: one file each, that executes trials on slots (floor 3)."""
