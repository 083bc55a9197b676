"""How figures look (floor 3): plain values in, a matplotlib Figure out; nothing here knows a study.

matplotlib is imported when a figure is made. No figure goes through pyplot, so none needs a screen.
"""
