"""The report of one or more studies: a single HTML file that needs no network.

This package reads the record, the test results and the importance, and draws with `hpo.figures`. The command line calls
it. The page is `templates/page.html.j2` with the style `templates/style.css`.
"""

from __future__ import annotations

from hpo.report.page import write

__all__ = ["write"]
