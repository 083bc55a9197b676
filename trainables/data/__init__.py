"""Images and labels: data sets, decoding, splits, preprocessing, the survey, and the held-out part.

It stands on `trainables.store`. Models, data sets, features and training import it.
"""
