"""A one-off: bring leads to what another table says, a limited number at a time.

`python -m pipelines.backfill_leads crm.lead_backfill --limit 500`. It may be stopped and
started again at any moment: a lead that already says what the table says is not sent again,
so each start goes on where the last one ended.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import NoReturn

from connector import run
from connector.planning.guards import GUARDS
from connector.report.exits import EXIT_ERROR
from connector.report.terminal import exit_code_of


class Parser(argparse.ArgumentParser):
    """Ends wrong usage with the exit code that `lead-sync` has for it; 2 says something else."""

    def error(self, message: str) -> NoReturn:
        """Tells what is wrong, and ends."""
        self.print_usage(sys.stderr)
        self.exit(EXIT_ERROR, f"{self.prog}: error: {message}\n")


def main(arguments: list[str] | None = None) -> int:
    """Runs one portion of the backfill and returns its exit code."""
    parser = Parser(description=__doc__)
    parser.add_argument("table", help="the warehouse table, such as crm.lead_backfill")
    parser.add_argument("--limit", type=int, help="change at most so many leads")
    for guard in GUARDS:
        parser.add_argument(f"--{guard.replace('_', '-')}", help="as for `lead-sync run`")
    given = vars(parser.parse_args(arguments))
    return exit_code_of(partial(run, desired_table=given.pop("table"), **given))


if __name__ == "__main__":
    sys.exit(main())
