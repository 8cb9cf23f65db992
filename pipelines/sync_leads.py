"""The scheduled job: bring every lead of the desired table to its desired state.

`python -m pipelines.sync_leads` does what `lead-sync run` does. A task of an orchestrator
calls `connector.run()` as it is called here, and takes its summary.
"""

from __future__ import annotations

import sys

from connector import run
from connector.report.terminal import exit_code_of


def main() -> int:
    """Runs the job with the settings of `.dlt` and the environment; returns the exit code."""
    return exit_code_of(run)


if __name__ == "__main__":
    sys.exit(main())
