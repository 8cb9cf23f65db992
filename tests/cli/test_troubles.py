"""What a user can cause on a machine: one line and exit 1, and never a traceback."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connector.errors import WarehouseError
from connector.sync.lock import hold
from tests.support.forking import COMMAND
from tests.support.harness import (
    PATIENCE_SECONDS,
    ROOT,
    Ended,
    Site,
    ended_at_last,
    run_to_end,
    wait_until,
    writes,
)
from tests.support.torn import program

FULL = Path("/dev/full")


@pytest.fixture
def wanting(site: Site) -> Site:
    """A site that wants one lead's title changed."""
    site.desire_titles({next(iter(site.pipedrive.leads())): "New"})
    return site


def shell(site: Site, script: str, **env: str) -> Ended:
    """Run the command as a shell does, as $0."""
    return run_to_end(["bash", "-c", script, str(COMMAND)], {**site.environment(), **env})


def assert_one_line(ended: Ended, *parts: str) -> None:
    [line] = [line for line in ended.stderr.splitlines() if " INFO " not in line]
    assert line.startswith("error: "), line
    assert ended.code == 1
    for part in parts:
        assert part in line


def a_file(folder: Path) -> None:
    folder.write_text("not a folder")


def a_lock_that_is_a_folder(folder: Path) -> None:
    (folder / "pipelines" / "pipedrive_leads.lock").mkdir(parents=True)


def an_owner_that_is_a_folder(folder: Path) -> None:
    (folder / "pipelines" / "pipedrive_leads.owner").mkdir(parents=True)


def a_pipeline_that_is_a_file(folder: Path) -> None:
    (folder / "pipelines").mkdir(parents=True)
    (folder / "pipelines" / "pipedrive_leads").write_text("not a folder")


@pytest.mark.parametrize(
    "spoil",
    [a_file, a_lock_that_is_a_folder, an_owner_that_is_a_folder, a_pipeline_that_is_a_file],
    ids=lambda spoil: spoil.__name__,
)
def test_a_working_folder_that_is_none(wanting: Site, spoil: Callable[[Path], None]) -> None:
    spoil(wanting.data_dir)
    ended = wanting.command("run")
    assert_one_line(ended, f"the working folder {wanting.data_dir}", "DLT_DATA_DIR")
    assert wanting.pipedrive.requests() == []


def test_a_working_folder_where_nothing_may_be_made(wanting: Site) -> None:
    for command in ("run", "runs", "columns"):
        ended = wanting.command(command, env={"DLT_DATA_DIR": "/sys/lead-sync"})
        assert_one_line(ended, "the working folder /sys/lead-sync/", "cannot be used")


def may_mount() -> bool:
    """Whether this user may have mounts of a process's own."""
    call = ["unshare", "--map-root-user", "--mount", "true"]
    return bool(shutil.which(call[0])) and not subprocess.run(call, check=False).returncode


@pytest.mark.skipif(not may_mount(), reason="nothing may be mounted here")
def test_a_working_folder_on_a_mount_to_read_only_is_found_by_check(wanting: Site) -> None:
    assert wanting.command("plan").code == 0
    whole, own = wanting.data_dir, wanting.data_dir / "pipelines/pipedrive_leads"
    for place, command in ((whole, "check"), (whole, "run"), (own, "check")):
        mount = f"mount --bind {place} {place} && mount -o remount,bind,ro {place}"
        script = f"unshare --map-root-user --mount sh -c '{mount} && exec $0 {command}' $0"
        ended = shell(wanting, script)
        assert ended.code == 1, ended.told
        assert f"folder {own} cannot be used: Read-only file system" in ended.told


def test_a_folder_whose_name_is_no_utf8(wanting: Site) -> None:
    bad = wanting.folder / os.fsdecode(b"bad\xff")
    bad.mkdir()
    for command in ("run", "runs"):
        assert_one_line(wanting.command(command, cwd=bad), r"bad\xff", "rename it")
        ended = wanting.command(command, env={"DLT_DATA_DIR": str(bad)})
        assert_one_line(ended, r"bad\xff", "rename it")
    assert list(bad.rglob("*.json")) == []
    assert wanting.pipedrive.requests() == []


UNUSABLE_BY_DLT = {
    "RUNTIME__LOG_LEVEL": "NOPE",
    "LOAD__WORKERS": "abc",
    "NORMALIZE__WORKERS": "0",
    "EXTRACT__WORKERS": "-1",
    "DATA_WRITER__BUFFER_MAX_ITEMS": "many",
    "LOAD__DELETE_COMPLETED_JOBS": "maybe",
}


@pytest.mark.parametrize(("name", "value"), UNUSABLE_BY_DLT.items())
def test_what_dlts_own_steps_cannot_use(wanting: Site, name: str, value: str) -> None:
    assert_one_line(wanting.command("run", env={name: value}), name)
    checked = wanting.command("check", env={name: value})
    assert (checked.code, checked.stderr) == (1, "")
    assert checked.stdout.startswith("problem  config: ")
    assert name in checked.told
    assert wanting.pipedrive.requests() == []


@pytest.mark.parametrize("layout", ["%s", "%s%", "%s%d"])
def test_a_layout_of_names_that_cannot_be(wanting: Site, layout: str) -> None:
    given = {"DESTINATION__WAREHOUSE__STAGING_DATASET_NAME_LAYOUT": layout}
    assert_one_line(wanting.command("run", env=given), "staging_dataset_name_layout under")
    checked = wanting.command("check", env=given)
    assert (checked.code, checked.stderr) == (1, "")
    assert "staging_dataset_name_layout under" in checked.told


@pytest.mark.parametrize("refusal", [PermissionError(errno.EACCES, "Permission denied")])
def test_a_lock_of_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: OSError
) -> None:
    def refuse(*_arguments: object, **_given: object) -> None:
        raise refusal

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(WarehouseError, match="cannot be used: Permission denied; make it yours"):
        hold(tmp_path / "work").__enter__()


@pytest.mark.parametrize("state", ["", "[]", "{}"])
def test_a_damaged_state_of_dlt(wanting: Site, state: str) -> None:
    file = wanting.data_dir / "pipelines" / "pipedrive_leads" / "state.json"
    file.parent.mkdir(parents=True)
    file.write_text(state)
    assert_one_line(wanting.command("run"), str(file.parent), "is damaged", "remove that folder")
    assert wanting.pipedrive.requests() == []


def test_a_damaged_state_is_made_anew(wanting: Site) -> None:
    assert wanting.command("run").code == 0
    folder = wanting.data_dir / "pipelines" / "pipedrive_leads"
    [schema] = (folder / "schemas").glob("*.schema.json")
    schema.write_text("{")
    assert_one_line(wanting.command("plan"), str(folder), "is damaged")
    subprocess.run(["rm", "-r", str(folder)], check=True)
    assert wanting.command("plan").code == 0


@pytest.mark.parametrize(
    "name",
    [
        *("load/.version", "normalize/.version", "load/normalized/*/load_package_state.json"),
        *("load/normalized/*/applied_schema_updates.json", "load/normalized/*/schema.json"),
    ],
)
@pytest.mark.parametrize("kept", [0, 0.5])
def test_a_damaged_file_of_what_a_killed_run_left(wanting: Site, name: str, kept: float) -> None:
    torn = replace(wanting, program=program("leads")).command("run")
    assert torn.code == -9, torn.told
    folder = wanting.data_dir / "pipelines" / "pipedrive_leads"
    [file] = folder.glob(name)
    file.write_bytes(file.read_bytes()[: int(kept * file.stat().st_size)])
    assert_one_line(wanting.command("run"), str(folder), "damaged", "remove that folder")
    subprocess.run(["rm", "-r", str(folder)], check=True)
    assert wanting.command("run").code == 0
    assert [*writes(wanting.pipedrive).values()] == [1]


@pytest.mark.parametrize("section", ["warehouse", "desired"])
@pytest.mark.parametrize("place", [":memory:", "duckdb:///:memory:"])
def test_a_warehouse_in_memory_is_none(wanting: Site, section: str, place: str) -> None:
    given = {f"DESTINATION__{section.upper()}__CREDENTIALS": place}
    told = f"credentials under [destination.{section}] name a database in memory, which ends with"
    assert_one_line(wanting.command("run", env=given), told, "name a file")
    assert told in wanting.command("check", env=given).told
    assert wanting.pipedrive.requests("PATCH") == []


@pytest.mark.parametrize("command", ["run", "runs"])
@pytest.mark.parametrize("kind", ["damaged", "a folder", "nowhere"])
def test_a_warehouse_that_is_none(site: Site, command: str, kind: str) -> None:
    if kind == "damaged":
        site.database.write_bytes(b"garbage" * 2000)
    elif kind == "a folder":
        site.database.mkdir()
    path = site.folder / "nowhere" / "x.duckdb" if kind == "nowhere" else site.database
    ended = site.command(command, env={"DESTINATION__WAREHOUSE__CREDENTIALS": f"duckdb:///{path}"})
    assert_one_line(ended, str(path))


SECRET_TAILS = {
    "loader:pre@hunter2x@127.0.0.1:1/books": 1,
    "loader:pre@hunter2x/y@127.0.0.1:1/books": 1,
    "loader:pre@hunter2x?y@127.0.0.1:1/books": 1,
    "loader:pre%40hunter2x@127.0.0.1:1/books?options=a@b": 0,
}
"""Credentials with @ in the password, and whether it is written as it is."""


@pytest.mark.parametrize(("credentials", "is_bare"), SECRET_TAILS.items())
def test_a_password_with_an_at_sign_is_not_shown(
    wanting: Site, credentials: str, is_bare: int
) -> None:
    for scheme, section in (("postgresql", "WAREHOUSE"), ("postgresql", "DESIRED")):
        given = {f"DESTINATION__{section}__CREDENTIALS": f"{scheme}://{credentials}"}
        given[f"DESTINATION__{section}__DESTINATION_TYPE"] = "postgres"
        for command in ("run", "plan", "check", *(["runs"] if section == "WAREHOUSE" else [])):
            ended = wanting.command(command, env=given)
            assert ended.code == 1, ended.told
            assert "hunter2x" not in ended.told
            assert ("write the @ of a password as %40" in ended.told) == bool(is_bare), ended.told


@pytest.mark.parametrize(
    "settings",
    [{"on_null": "{"}, {"timeout_seconds": "inf"}, {"timeout_seconds": "1e300"}],
    ids=str,
)
def test_a_setting_that_cannot_be(wanting: Site, settings: dict[str, Any]) -> None:
    assert_one_line(wanting.command("run", **settings))


def test_a_bundle_of_certificates_that_is_not_there(wanting: Site) -> None:
    bundle = {"REQUESTS_CA_BUNDLE": "/nowhere.pem"}
    host = {"SOURCES__PIPEDRIVE_LEADS__BASE_URL": "https://127.0.0.1:9"}
    ended = wanting.command("run", env=bundle | host)
    assert_one_line(ended, "there is no CA bundle /nowhere.pem", "set REQUESTS_CA_BUNDLE")


def test_a_working_directory_that_is_gone(wanting: Site) -> None:
    gone = wanting.folder / "gone"
    ended = shell(wanting, f"mkdir {gone}; cd {gone}; rmdir {gone}; $0 plan")
    assert_one_line(ended)


@pytest.mark.parametrize("command", ["plan", "run", "--version"])
def test_a_full_disk(wanting: Site, command: str) -> None:
    ended = shell(wanting, f"$0 {command} > {FULL}")
    assert_one_line(ended, "standard output cannot be written: No space left on device")
    if command in ("plan", "run"):
        assert wanting.last_run()["state"] == "done"
    if command == "run":
        assert wanting.statuses() == {"applied": 1}


@pytest.mark.parametrize(
    ("command", "reader"),
    [("plan", "head -c 1"), ("plan --output json", "true"), ("run", "head -c 1")],
)
def test_a_reader_that_has_gone(wanting: Site, command: str, reader: str) -> None:
    ended = shell(wanting, f"$0 {command} | {reader}; exit ${{PIPESTATUS[0]}}")
    assert ended.code == 0
    assert [line for line in ended.stderr.splitlines() if " INFO " not in line] == []
    assert (wanting.last_run()["state"], wanting.last_run()["message"]) == ("done", None)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-", "2> /dev/full"])
def test_a_stream_that_was_closed_from_the_beginning(wanting: Site, closed: str) -> None:
    ended = shell(wanting, f"$0 run {closed}")
    assert ended.code == 0
    assert "error" not in ended.told
    assert wanting.last_run()["state"] == "done"


def test_a_pipe_that_another_program_made_not_wait(wanting: Site) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    names = {str(number): "VARCHAR" for number in range(3000)}
    wanting.desire(
        {
            "lead_id": "VARCHAR",
            "title": "VARCHAR",
            **{f"_dlt_{name}": kind for name, kind in names.items()},
        },
        [],
    )
    command = subprocess.Popen(
        [str(COMMAND), "columns"], env=wanting.environment(), cwd=ROOT, stdout=writing
    )
    os.close(writing)
    with os.fdopen(reading) as read:
        printed = read.read()
    assert command.wait(timeout=PATIENCE_SECONDS) == 0
    assert printed.count("dlt's own") == 3000


def test_ctrl_c_while_it_starts_is_quiet(site: Site) -> None:
    """Once the heavy imports are under way, which the libraries that it has mapped show."""
    quiet = subprocess.Popen(
        [str(COMMAND), "runs"],
        env=site.environment(),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with ended_at_last(quiet) as process:
        maps = Path(f"/proc/{process.pid}/maps")
        wait_until(lambda: "orjson" in maps.read_text(), "never imported anything")
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=PATIENCE_SECONDS)
    assert told == ("", "")
    assert process.returncode in (-signal.SIGINT, 1)


def test_a_current_folder_that_is_removed(wanting: Site, tmp_path: Path) -> None:
    ended = shell(wanting, f"mkdir {tmp_path}/gone; cd {tmp_path}/gone; rmdir ../gone; $0 run")
    assert_one_line(ended, "the current folder is not there any more; change to one that is")


def test_the_command_alone_shows_its_help(site: Site) -> None:
    alone, helped = shell(site, "$0"), shell(site, "$0 --help")
    assert (alone.code, alone.stderr) == (0, "")
    assert "Usage: lead-sync [OPTIONS] COMMAND" in alone.stdout
    assert alone.stdout.split() == helped.stdout.split()


def test_it_tells_its_version(site: Site) -> None:
    assert shell(site, "$0 --version") == Ended(0, "lead-sync 0.2.0\n", "")


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        ("KeyError('\\x1b[2J')", "unexpected KeyError: '"),
        ("UnicodeDecodeError('ascii', b'x', 0, 1, 'not in range')", "unexpected UnicodeDecode"),
    ],
)
def test_what_nobody_expected_is_a_line_that_can_be_reported(
    wanting: Site, tmp_path: Path, raised: str, told: str
) -> None:
    """Some errors of Python have an attribute `end` of their own."""
    (tmp_path / "sitecustomize.py").write_text(
        "import connector.sync.session\n"
        f"def fail(*_): raise {raised}\n"
        "connector.sync.session.make_client = fail\n"
    )
    ended = shell(wanting, f"$0 run --run-results {tmp_path}/r.json", PYTHONPATH=str(tmp_path))
    assert_one_line(ended, told, " at sync/session.py:", "lead-sync 0.2.0", "report")
    assert "Traceback" not in ended.told
