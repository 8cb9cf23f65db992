"""A given lead as it was, in a file that outlives a killed suite, and the way back to it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from connector.pipedrive.errors import InDoubt, PipedriveError, RateLimited, Refused
from connector.records.fields import Field, base_key, is_custom_key
from tests.contract.account import Account, Body, Lead, set_keys
from tests.contract.calls import PAUSES

FOLDER = Path("live-snapshots")
"""Where snapshots go unless LEAD_SYNC_LIVE_SNAPSHOTS names another folder."""
PLAIN_TEXTS = frozenset({"varchar", "varchar_auto", "text", "phone"})
"""Types whose values are put back letter by letter, the blanks and the empty text too."""


class NotRestored(Exception):
    """A lead is not as it was."""


@dataclass(frozen=True)
class Snapshot:
    """A lead as it was read before anything was sent to it."""

    base_url: str
    record: Lead

    @property
    def lead_id(self) -> str:
        return str(self.record["id"])


def path_in(folder: Path, lead_id: str) -> Path:
    """Return where the snapshot of a lead belongs."""
    return folder / f"{lead_id}.json"


def save(path: Path, snapshot: Snapshot) -> None:
    """Write a snapshot, for its owner alone, so that it is whole on the disk or not there.

    Raises:
        FileExistsError: There is one of a suite that did not end; it must not be lost.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"base_url": snapshot.base_url, "record": snapshot.record}
    draft = path.with_suffix(f".{os.getpid()}")
    with open(draft, "w", opener=_private, encoding="utf-8") as file:
        json.dump(document, file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    finally:
        draft.unlink()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def load(path: Path) -> Snapshot:
    """Return the snapshot in a file.

    Raises:
        ValueError: The file holds none.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return Snapshot(
            document["base_url"], {**document["record"], "id": document["record"]["id"]}
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no snapshot of a lead") from error


def restore(account: Account, before: Lead, *, pauses: Sequence[float] = PAUSES) -> None:
    """Bring the account's lead back to what it was, and read it to be sure.

    An answer in doubt is followed by a read, and what still differs is sent again.

    Raises:
        NotRestored: Something still differs; the message names it.
    """
    said = ""
    for pause in pauses:
        time.sleep(pause)
        try:
            now, refused = _brought_back(account, before), ""
            if body := difference(account, before, now):
                refused = _send(account, body)
                now = account.read()
            if not difference(account, before, now):
                _check_the_rest(before, now)
                return
            if refused and refused == said:
                break
            said = refused
        except (InDoubt, RateLimited) as error:
            said = str(error)
        except PipedriveError as error:
            raise NotRestored(f"lead {account.lead_id} is not as it was: {error}") from None
    with suppress(PipedriveError):
        said = f"{said}; still different: {', '.join(difference(account, before, account.read()))}"
    raise NotRestored(f"lead {account.lead_id} is not as it was: {said}")


def _brought_back(account: Account, before: Lead) -> Lead:
    now = account.read()
    if now["is_archived"] and not before["is_archived"]:
        account.send({"is_archived": False})
        now = account.read()
    return now


def _send(account: Account, body: Body) -> str:
    """Send a body, field by field where it is refused as a whole; return what was refused."""
    try:
        account.patch(body)
    except Refused as error:
        names = dict.fromkeys(base_key(key) for key in body)
        if len(names) == 1:
            return str(error)
        said = (_send(account, _part(body, name)) for name in names)
        return "; ".join(filter(None, said))
    return ""


def _part(body: Body, name: str) -> Body:
    return {key: value for key, value in body.items() if base_key(key) == name}


def difference(account: Account, before: Lead, now: Lead) -> Body:
    """Return the body that brings a lead from what it is now back to what it was."""
    body: Body = {}
    for key, field in account.fields.items():
        was, wire, shown = field.read_key(key, before), before.get(key), now.get(key)
        if field.type in PLAIN_TEXTS and wire is not None:
            body.update({key: wire} if shown != wire else {})
            continue
        differs = field.read_key(key, now) != was or _is_set(wire) != _is_set(shown)
        if differs and (was is not None or _is_cleared_by(key, field)):
            body[key] = field.as_it_was(key, before)
    return body


def _is_cleared_by(key: str, field: Field) -> bool:
    """Tell whether null under a key clears it; a currency goes with its amount alone."""
    return field.clearable and key in field.with_companions(dict.fromkeys(field.keys), {})


def _is_set(wire: object) -> bool:
    return wire is not None and wire != []


def _check_the_rest(before: Lead, now: Lead) -> None:
    """Hold the keys against each other that no field writes; derived parts follow their field."""
    had, has = set_keys(before), set_keys(now)
    left = {key for key in had.keys() ^ has.keys() if not _is_derived(key)}
    if left:
        raise NotRestored(f"lead {before['id']} differs in what no PATCH sets: {sorted(left)}")


def _is_derived(key: str) -> bool:
    return is_custom_key(key) and "_" in key
