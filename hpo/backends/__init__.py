"""The backends: who decides what trains next. One file a backend; `_backend.py` is the Protocol.

They stand on `hpo.space` and `hpo.trial`, and import no record, no runner and nothing that trains.
"""
