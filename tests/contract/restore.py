"""Bring a lead back from the snapshot that `make test-live` took of it before its first PATCH.

    python -m tests.contract.restore live-snapshots/LEAD_ID.json

It needs LEAD_SYNC_LIVE_URL and LEAD_SYNC_LIVE_TOKEN. The file is removed once the lead has been
read and is as it was.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from connector.pipedrive.errors import PipedriveError
from tests.contract.account import account_of
from tests.contract.live import origin_of
from tests.contract.snapshot import NotRestored, difference, load, restore

DONE, FAILED, USAGE = 0, 1, 2


def main(arguments: Sequence[str]) -> int:
    """Restore a lead and return the exit code: 1 where it is not as it was."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return USAGE
    path = Path(arguments[0])
    try:
        print(_restored(path))
    except (NotRestored, PipedriveError, OSError, ValueError) as error:
        print(f"{error}; {path} is kept", file=sys.stderr)
        return FAILED
    path.unlink()
    return DONE


def _restored(path: Path) -> str:
    snapshot = load(path)
    url, token = (os.environ.get(f"LEAD_SYNC_LIVE_{name}", "") for name in ("URL", "TOKEN"))
    if not token:
        raise ValueError("set LEAD_SYNC_LIVE_URL and LEAD_SYNC_LIVE_TOKEN")
    if origin_of(url) != snapshot.base_url:
        raise ValueError(f"the snapshot is of {snapshot.base_url}, LEAD_SYNC_LIVE_URL is another")
    account = account_of("live", snapshot.base_url, token, snapshot.lead_id)
    changed = difference(account, snapshot.record, account.read())
    restore(account, snapshot.record)
    names = ", ".join(account.fields[key].name_of(key) for key in changed) or "nothing differed"
    return f"lead {snapshot.lead_id} is as it was ({names})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
