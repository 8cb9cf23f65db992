"""`make test-live` leaves an account as it was: whole, killed, refused and in doubt.

The suite runs as a process of its own against a local Pipedrive, which is to it a real account.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.records.definitions import FIELD_TYPES
from connector.sandbox import LocalPipedrive
from tests.contract import own_lead, snapshot
from tests.contract.account import Account, account_of
from tests.contract.live import NotStarted, live_session, origin_of, settings_of
from tests.contract.restore import main
from tests.contract.snapshot import NotRestored
from tests.support.forking import Forked
from tests.support.harness import ROOT, Ended, ended_at_last, wait_until

Row = dict[str, Any]
SUITE = ("-m", "pytest", "-n", "0", "--live", "-k", "live", "tests/contract/test_api.py")
RESTORE = ("-m", "tests.contract.restore")
BRIEF = (*SUITE, "-k", "live and (title or seen or labels or custom_field)")
SUITE_SECONDS = 300
"""Longest time for a suite, on a machine that does other work as well."""
NEVER = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def pipedrive(local_pipedrive: LocalPipedrive) -> Iterator[LocalPipedrive]:
    local_pipedrive.reset()
    yield local_pipedrive
    local_pipedrive.reset()


@pytest.fixture
def given(pipedrive: LocalPipedrive) -> Row:
    """A lead of a customer: linked to both, with blanks and empty texts as people leave them."""
    lead = next(
        one
        for one in pipedrive.leads().values()
        if not one["is_archived"] and one["person_id"] and one["organization_id"]
    )
    return pipedrive.set_lead(lead["id"], title="  A customer's lead ", channel_id="", channel=53)


def start(
    pipedrive: LocalPipedrive, folder: Path, *arguments: str, **settings: str
) -> subprocess.Popen[str]:
    environ = environment(pipedrive, folder, **settings)
    return Forked(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environ, "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(pipedrive: LocalPipedrive, folder: Path, *arguments: str, **settings: str) -> Ended:
    with ended_at_last(start(pipedrive, folder, *arguments, **settings)) as process:
        told, _ = process.communicate(timeout=SUITE_SECONDS)
        return Ended(process.returncode, told, "")


def killed_midway(
    pipedrive: LocalPipedrive, folder: Path, *, number: int = signal.SIGKILL, **settings: str
) -> str:
    """Start the suite, end it by a signal after some PATCHes, and return what it printed."""
    pipedrive.settings(latency_ms=15)
    with ended_at_last(start(pipedrive, folder, *SUITE, **settings)) as process:
        wait_until(lambda: len(written(pipedrive, "PATCH")) >= 12, "the suite sent nothing")
        process.send_signal(number)
        told, _ = process.communicate(timeout=SUITE_SECONDS)
    pipedrive.settings(latency_ms=0)
    return told


def written(pipedrive: LocalPipedrive, method: str) -> list[Row]:
    return [entry for entry in pipedrive.requests(method) if entry["wrote"]]


def as_kept(lead: Row) -> Row:
    """Return a lead without what moves by itself."""
    return {key: value for key, value in lead.items() if key != "update_time"}


def all_kept(pipedrive: LocalPipedrive) -> dict[str, Row]:
    return {lead_id: as_kept(lead) for lead_id, lead in pipedrive.leads().items()}


def test_a_whole_suite_leaves_nothing_behind_and_tells_what_it_settled(
    pipedrive: LocalPipedrive, tmp_path: Path
) -> None:
    before = pipedrive.leads()
    pipedrive.settings(limits=True, plan="ultimate")
    ended = run(pipedrive, tmp_path, *SUITE)
    assert ended.code == 0, ended.stdout
    assert pipedrive.leads() == before
    assert [len(written(pipedrive, method)) for method in ("POST", "DELETE")] == [1, 1]
    assert len({entry["lead_id"] for entry in written(pipedrive, "PATCH")}) == 1
    assert "webhooks and automations of the account fire" in ended.told
    assert "the test lead is deleted" in ended.told
    assert "settled: title_null live: refuse | default: refuse" in ended.told
    assert "settled: 404 of GET live: 404 · requested lead not found" in ended.told
    assert re.search("headers of PATCH live: .*x-daily-requests-left=[1-9]", ended.told)
    assert re.search("headers of GET live: .*x-ratelimit-remaining=[1-9]", ended.told)
    assert "skipped" not in ended.told.rpartition("settled:")[2]
    assert pipedrive.api_token not in ended.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_given_lead_is_as_it_was_and_no_other_is_touched(
    pipedrive: LocalPipedrive, tmp_path: Path, given: Row
) -> None:
    before = all_kept(pipedrive)
    pipedrive.settings(limits=True, plan="ultimate")
    ended = run(pipedrive, tmp_path, *SUITE, "-rs", LEAD=given["id"].upper())
    assert ended.code == 0, ended.stdout
    assert all_kept(pipedrive) == before
    assert {entry["lead_id"] for entry in written(pipedrive, "PATCH")} == {given["id"]}
    assert not any(
        key in entry["body"] and entry["body"][key] is None
        for entry in written(pipedrive, "PATCH")
        for key in ("title", "owner_id", "visible_to", "is_archived")
    )
    assert not [one for one in written(pipedrive, "PATCH") if "is_archived" in one["body"]]
    assert "tried only on a lead of the suite's own" in ended.told
    assert list(tmp_path.iterdir()) == []


def test_a_killed_suite_is_made_good_from_its_snapshot(
    pipedrive: LocalPipedrive, tmp_path: Path, given: Row
) -> None:
    """Also where the PATCH that restores is answered by 503 twice, and took effect once."""
    before = all_kept(pipedrive)
    killed_midway(pipedrive, tmp_path, LEAD=given["id"])
    pipedrive.set_lead(given["id"], title="As the kill left it", visible_to="7", label_ids=[])
    path = snapshot.path_in(tmp_path, given["id"])
    assert path.stat().st_mode & 0o077 == 0
    assert pipedrive.api_token not in path.read_text()

    again = run(pipedrive, tmp_path, *SUITE, LEAD=given["id"])
    assert again.code == 1
    assert f"python -m tests.contract.restore {path}" in again.stdout.replace("\n", "")
    assert pipedrive.lead(given["id"])["title"] == "As the kill left it"

    pipedrive.fault("status", status=503, method="PATCH")
    pipedrive.fault("status", status=503, method="PATCH", write=True)
    restored = run(pipedrive, tmp_path, *RESTORE, str(path))
    assert (restored.code, "is as it was" in restored.told) == (0, True), restored.stdout
    assert all_kept(pipedrive) == before
    assert list(tmp_path.iterdir()) == []


def test_a_lead_archived_by_a_killed_suite_is_brought_back(
    pipedrive: LocalPipedrive, tmp_path: Path, given: Row
) -> None:
    path = snapshot.path_in(tmp_path, given["id"])
    snapshot.save(path, snapshot.Snapshot(pipedrive.base_url, given))
    pipedrive.set_lead(given["id"], title="Changed", is_archived=True)
    assert run(pipedrive, tmp_path, *RESTORE, str(path)).code == 0
    assert as_kept(pipedrive.lead(given["id"])) == as_kept(given)


def test_sigterm_ends_the_suite_with_the_lead_as_it_was(
    pipedrive: LocalPipedrive, tmp_path: Path, given: Row
) -> None:
    before = all_kept(pipedrive)
    told = killed_midway(pipedrive, tmp_path, number=signal.SIGTERM, LEAD=given["id"])
    assert f"lead {given['id']} is as it was" in told
    assert all_kept(pipedrive) == before
    assert list(tmp_path.iterdir()) == []


def test_the_next_suite_deletes_the_lead_of_a_killed_one(
    pipedrive: LocalPipedrive, tmp_path: Path
) -> None:
    before = pipedrive.leads()
    killed_midway(pipedrive, tmp_path)
    [left] = pipedrive.leads().keys() - before.keys()
    pipedrive.set_lead(left, title="As a test left it", is_archived=True)
    ended = run(pipedrive, tmp_path, *BRIEF)
    assert ended.code == 0, ended.stdout
    assert f"deleted lead {left}, which an earlier suite left behind" in ended.told
    assert pipedrive.leads() == before


def test_a_lead_that_is_deleted_meanwhile_fails_the_suite(
    pipedrive: LocalPipedrive, tmp_path: Path, given: Row
) -> None:
    """Its snapshot is kept, and no traceback shows the token."""
    pipedrive.settings(latency_ms=15)
    with ended_at_last(start(pipedrive, tmp_path, *BRIEF, LEAD=given["id"])) as process:
        wait_until(lambda: len(written(pipedrive, "PATCH")) >= 2, "the suite sent nothing")
        pipedrive.delete_lead(given["id"])
        told, _ = process.communicate(timeout=SUITE_SECONDS)
    assert (process.returncode, "tests.contract.restore" in told) == (1, True)
    assert pipedrive.api_token not in told
    assert snapshot.path_in(tmp_path, given["id"]).exists()


def test_a_503_on_each_restoring_patch_is_outlasted(
    pipedrive: LocalPipedrive, tmp_path: Path, given: Row
) -> None:
    """The suite itself meets trouble in its midst, not only the command that restores."""
    account = live_account(pipedrive, given["id"])
    pipedrive.set_lead(given["id"], title="Changed", was_seen=not given["was_seen"])
    pipedrive.fault("status", status=503, method="PATCH", times=3)
    pipedrive.fault("reset_after", method="PATCH")
    snapshot.restore(account, given, pauses=(0,) * 8)
    assert as_kept(pipedrive.lead(given["id"])) == as_kept(given)


def live_account(pipedrive: LocalPipedrive, lead_id: str = "") -> Account:
    return account_of("live", pipedrive.base_url, pipedrive.api_token, lead_id)


@pytest.mark.parametrize("kind", ["status", "reset_before", "ignore"])
def test_a_lead_that_cannot_be_restored_is_told_and_its_snapshot_kept(
    pipedrive: LocalPipedrive, tmp_path: Path, given: Row, kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    pauses = (0.0,) * 3
    monkeypatch.setattr(snapshot.restore, "__kwdefaults__", {"pauses": pauses})
    environ = environment(pipedrive, tmp_path, LEAD=given["id"])
    path = snapshot.path_in(tmp_path, given["id"])
    keep_on = pytest.raises(NotRestored, match=f"restore {path}")
    with keep_on, live_session(settings_of(environ), lambda _line: None) as live:
        live.account.patch({"title": "Changed"})
        pipedrive.fault(kind, method="PATCH", times=99)
    pipedrive.clear_faults()
    assert run(pipedrive, tmp_path, *RESTORE, str(path)).code == 0
    assert as_kept(pipedrive.lead(given["id"])) == as_kept(given)


def environment(pipedrive: LocalPipedrive, folder: Path, **settings: str) -> Mapping[str, str]:
    given = {
        "URL": pipedrive.base_url,
        "TOKEN": pipedrive.api_token,
        "SNAPSHOTS": str(folder),
        **settings,
    }
    return {f"LEAD_SYNC_LIVE_{name}": value for name, value in given.items()}


def test_what_one_field_refuses_keeps_no_other_from_being_restored(
    pipedrive: LocalPipedrive, given: Row
) -> None:
    """The person was deleted meanwhile: the rest is put back, and the person is named."""
    before = {**given, "person_id": 77}
    pipedrive.set_lead(given["id"], title="Changed", label_ids=[])
    with pytest.raises(NotRestored, match="person_id"):
        snapshot.restore(live_account(pipedrive, given["id"]), before, pauses=(0, 0, 0))
    assert as_kept(pipedrive.lead(given["id"])) == as_kept(given)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://127.0.0.1:9", "the snapshot is of"),
        ("http://example.com", "must begin with https://"),
        ("https://user:secret@example.com", "scheme and host alone"),
        ("https://example.com/api/v1", "scheme and host alone"),
    ],
)
def test_a_token_goes_nowhere_but_to_the_account_of_the_snapshot(
    pipedrive: LocalPipedrive, tmp_path: Path, given: Row, url: str, told: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    path = snapshot.path_in(tmp_path, given["id"])
    snapshot.save(path, snapshot.Snapshot(pipedrive.base_url, given))
    pipedrive.clear_requests()
    for name, value in environment(pipedrive, tmp_path, URL=url).items():
        monkeypatch.setenv(name, value)
    assert (main([str(path)]), pipedrive.requests()) == (1, [])
    said = capsys.readouterr().err
    assert told in said
    assert "secret" not in said
    assert path.exists()


def test_a_snapshot_is_never_written_over(tmp_path: Path, given: Row) -> None:
    path = snapshot.path_in(tmp_path, given["id"])
    first = snapshot.Snapshot("https://example.com", given)
    snapshot.save(path, first)
    with pytest.raises(FileExistsError):
        snapshot.save(path, snapshot.Snapshot("https://example.com", {**given, "title": "Later"}))
    assert snapshot.load(path) == first
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"base_url": "x", "record": {}}', "null"])
def test_a_file_that_is_no_snapshot_is_refused(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    assert main([str(path)]) == 1
    assert "is no snapshot of a lead" in capsys.readouterr().err
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"TOKEN": ""}, "set LEAD_SYNC_LIVE_URL and LEAD_SYNC_LIVE_TOKEN"),
        ({"TOKEN": "wrong"}, "check the API token"),
        ({"LEAD": NEVER}, "not found"),
        ({"URL": "http://example.com"}, "must begin with https://"),
        ({"ORGANIZATION": "77"}, '"organization_id" must be an existing organization'),
        ({"ORGANIZATION": "acme"}, "LEAD_SYNC_LIVE_ORGANIZATION must be an id, not 'acme'"),
    ],
)
def test_a_suite_that_cannot_begin_says_why_and_sends_nothing(
    pipedrive: LocalPipedrive, tmp_path: Path, settings: dict[str, str], told: str
) -> None:
    environ = environment(pipedrive, tmp_path, **settings)
    never = pytest.raises(NotStarted, match=re.escape(told))
    with never, live_session(settings_of(environ), lambda _line: None):
        pass
    assert not [entry for entry in pipedrive.requests() if entry["wrote"]]
    assert list(tmp_path.iterdir()) == []


def test_a_suite_that_cannot_begin_does_not_pass(pipedrive: LocalPipedrive, tmp_path: Path) -> None:
    ended = run(pipedrive, tmp_path, *BRIEF, TOKEN="")
    assert (ended.code, "set LEAD_SYNC_LIVE_URL" in ended.told) == (1, True), ended.stdout


def test_without_the_option_no_real_account_is_asked(
    pipedrive: LocalPipedrive, tmp_path: Path
) -> None:
    pipedrive.clear_requests()
    ended = run(pipedrive, tmp_path, *(one for one in BRIEF if one != "--live"))
    assert (ended.code, pipedrive.requests()) == (0, [])
    assert "skipped" in ended.told


def test_an_archived_lead_is_not_taken(
    pipedrive: LocalPipedrive, tmp_path: Path, given: Row
) -> None:
    pipedrive.archive_lead(given["id"])
    environ = environment(pipedrive, tmp_path, LEAD=given["id"])
    never = pytest.raises(NotStarted, match="is archived")
    with never, live_session(settings_of(environ), lambda _line: None):
        pass
    assert written(pipedrive, "PATCH") == []


def test_types_that_the_account_lacks_are_named(pipedrive: LocalPipedrive, tmp_path: Path) -> None:
    pipedrive.fault("reshaped", route="leadFields", fields={"field_type": "varchar"})
    said: list[str] = []
    with live_session(settings_of(environment(pipedrive, tmp_path)), said.append):
        pass
    [lacking] = [line for line in said if "no custom field of the type" in line]
    assert lacking.rpartition(": ")[2].split(", ") == [
        one for one in FIELD_TYPES if one != "varchar"
    ]


def test_an_own_lead_that_stays_archived_is_replaced(
    pipedrive: LocalPipedrive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = pipedrive.leads()
    monkeypatch.setattr(snapshot.restore, "__kwdefaults__", {"pauses": (0.0,) * 3})
    with live_session(settings_of(environment(pipedrive, tmp_path)), lambda _line: None) as live:
        first = live.account.lead_id
        pipedrive.settings(unarchive="never")
        live.account.patch({"is_archived": True})
        live.put_back()
        assert live.account.lead_id != first
        assert pipedrive.leads().keys() - before.keys() == {live.account.lead_id}
    assert pipedrive.leads() == before


def test_a_lead_is_made_once_whatever_answer_is_lost(pipedrive: LocalPipedrive) -> None:
    before = pipedrive.leads()
    account = live_account(pipedrive)
    contact = own_lead.contact_of(account.calls, None, None)
    for kind in ("reset_after", "reset_before"):
        pipedrive.fault(kind, method="POST")
        made = own_lead.make(account.calls, contact, account.user_id)
        assert pipedrive.leads().keys() - before.keys() == {made}
        pipedrive.fault("reset_after", method="DELETE")
        own_lead.delete(account.calls, made, pauses=(0, 0))
        assert pipedrive.leads() == before


def test_a_lead_that_may_still_be_there_is_named(pipedrive: LocalPipedrive) -> None:
    account = live_account(pipedrive)
    lead_id = next(iter(pipedrive.leads()))
    pipedrive.fault("status", status=503, method="DELETE", times=9)
    with pytest.raises(own_lead.LeadTrouble, match=f"{lead_id} may still be there"):
        own_lead.delete(account.calls, lead_id, pauses=(0, 0))


def test_only_leads_that_a_dead_suite_of_this_user_made_are_deleted(
    pipedrive: LocalPipedrive,
) -> None:
    host = own_lead.mark_of_this().split("/")[1]
    new = {"title": "Mine", "creator_id": 1001, "origin_id": None}
    kept: dict[str, Row] = {
        "alive": {"origin_id": own_lead.mark_of_this()},
        "elsewhere": {"origin_id": f"{own_lead.MARK}/elsewhere/1"},
        "of another user": {"origin_id": f"{own_lead.MARK}/{host}/999999", "creator_id": 1004},
        "a customer's": {"title": f"About {own_lead.MARK}"},
        "new, by its title alone": {"title": f"{own_lead.MARK}, may be deleted"},
    }
    gone: dict[str, Row] = {
        "dead": {"origin_id": f"{own_lead.MARK}/{host}/999999"},
        "archived": {"origin_id": f"{own_lead.MARK}/{host}/999999", "is_archived": True},
        "from elsewhere, long ago": {
            "origin_id": f"{own_lead.MARK}/elsewhere/1",
            "add_time": (datetime.now(UTC) - timedelta(days=2)).isoformat(),
        },
        "by its title alone, long ago": {
            "title": f"{own_lead.MARK}, may be deleted",
            "add_time": (datetime.now(UTC) - timedelta(hours=2)).isoformat(),
        },
    }
    ids = {name: f"{place:08d}-0000-4000-8000-000000000000" for place, name in
           enumerate([*kept, *gone])}  # fmt: skip
    for name, fields in {**kept, **gone}.items():
        pipedrive.set_lead(ids[name], **{**new, **fields})
    account = live_account(pipedrive)
    found = own_lead.delete_left_behind(account.calls, account.user_id)
    assert sorted(found) == sorted(ids[name] for name in gone)
    assert {ids[name] for name in kept} <= pipedrive.leads().keys()


@pytest.mark.parametrize("url", ["https://acme.pipedrive.com", " https://acme.pipedrive.com/ "])
def test_an_address_is_scheme_and_host(url: str) -> None:
    assert origin_of(url) == "https://acme.pipedrive.com"
