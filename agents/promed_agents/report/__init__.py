"""A page to read results by: one HTML file with tables, plots and every consultation, which needs nothing else.

    write_report("results")  # what `promed evaluate ... --out results` or `promed train --out results` wrote

`data` reads the folder, `plots` draws, `page` fills the template `page.html` (with `style.css` and `viewer.js`).
"""

from __future__ import annotations

from promed_agents.report.page import REPORT_FILE, write_report

__all__ = ["REPORT_FILE", "write_report"]
