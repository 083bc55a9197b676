"""The backends: the search algorithms. There is one file for each backend; `_backend.py` holds the Backend protocol.

They import `hpo.space`, `hpo.trial` and `hpo.errors`. They do not import records, runners or training code.
"""
