"""The parts of the backend freeze_thaw: kernel, fit, posterior, observations, proposals, decision.

The backend itself is `hpo/backends/freeze_thaw.py`, and nothing else imports this folder. Trials are kept in
`trials.py`. What trains next is decided in `decision.py`, with `steps.py`, `signal.py`, `long_runs.py` and
`budget_end.py`; the other files know nothing of these rules.
"""
