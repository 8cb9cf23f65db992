"""The scheduled job: bring every lead of the desired table to its desired state.

`python -m pipelines.sync_leads` does what `lead-sync run` does. An orchestrator's task calls
`connector.run()` itself, as here, and takes the exit code or the summary.
"""

from __future__ import annotations

import sys

from connector import run


def main() -> int:
    """Runs the job with the settings of `.dlt` and the environment; returns the exit code."""
    summary = run()
    sys.stdout.write(f"{summary.as_dict()}\n")
    return summary.exit_code


if __name__ == "__main__":
    sys.exit(main())
