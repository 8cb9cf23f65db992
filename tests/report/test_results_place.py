"""Where `--run-results` writes: it takes the place of a results file and of nothing else."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from connector.errors import LeadSyncError
from connector.report.results import open_results
from tests.support.forking import COMMAND
from tests.support.harness import (
    AN_OLDER_RESULT,
    PATIENCE_SECONDS,
    Ended,
    Site,
    ended_at_last,
    finish,
    wait_until,
)

OTHERS = {
    "text": b"a shopping list\n",
    "another JSON document": b'{"format": 1, "summary": {}, "patches": [], "settled": []}',
    "a list": b"[1]",
    "a blank": b"\n",
    "bytes": b"\xff\xfe\x00",
    "deep": b"[" * 100_000,
    "half a result": AN_OLDER_RESULT[:-5].encode(),
}


def write(path: Path, code: int = 0) -> None:
    with open_results(path, "run") as write_result:
        write_result({"message": "well"}, code)


def left_beside(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(".lead-sync"))


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_that_is_no_results_file_stays_as_it_is(tmp_path: Path, name: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(OTHERS[name])
    with pytest.raises(LeadSyncError, match="no results file"):
        write(file)
    assert file.read_bytes() == OTHERS[name]
    assert left_beside(tmp_path) == []


def test_the_warehouse_and_the_configuration_are_no_results_files(site: Site) -> None:
    lead = next(iter(site.pipedrive.leads()))
    site.desire_titles({lead: "New"})
    config = site.folder / "config.toml"
    config.write_text("[sources.pipedrive_leads]\n")
    site.pipedrive.clear_requests()
    for file in (site.database, config):
        before = file.read_bytes()
        ended = site.command("run", "--run-results", str(file))
        assert (ended.code, len(ended.stderr.splitlines())) == (1, 1), ended.told
        assert f"--run-results {file}" in ended.stderr
        assert "stays as it is" in ended.stderr
        assert file.read_bytes() == before
    assert site.pipedrive.requests() == []


@pytest.mark.parametrize("before", ["", AN_OLDER_RESULT, None])
def test_a_result_takes_the_place_of_one_or_of_nothing(tmp_path: Path, before: str | None) -> None:
    file = tmp_path / "result.json"
    if before is not None:
        file.write_text(before)
    with open_results(file, "run") as write_result:
        assert not file.exists()
        write_result({}, 3)
        assert json.loads(file.read_text())["exit_code"] == 3
    assert left_beside(tmp_path) == []
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~umask


def test_what_came_there_in_the_meantime_stays(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    with open_results(file, "run") as write_result:
        file.write_text("somebody else's")
        with pytest.raises(LeadSyncError, match="no results file"):
            write_result({}, 0)
    assert file.read_text() == "somebody else's"
    assert left_beside(tmp_path) == []


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_a_link(tmp_path: Path, there: bool) -> None:
    target, link = tmp_path / "real" / "result.json", tmp_path / "link.json"
    target.parent.mkdir()
    if there:
        target.write_text(AN_OLDER_RESULT)
    link.symlink_to(target)
    write(link, 3)
    assert link.is_symlink()
    assert json.loads(target.read_text())["exit_code"] == 3


def test_a_link_to_another_file_leaves_it(tmp_path: Path) -> None:
    target, link = tmp_path / "notes.txt", tmp_path / "link.json"
    target.write_text("notes")
    link.symlink_to(target)
    with pytest.raises(LeadSyncError, match="no results file"):
        write(link)
    assert target.read_text() == "notes"


def test_links_in_a_circle_and_pipes_that_nobody_reads_are_refused(tmp_path: Path) -> None:
    circle, pipe = tmp_path / "circle", tmp_path / "pipe"
    circle.symlink_to(circle)
    os.mkfifo(pipe)
    with pytest.raises(LeadSyncError, match="circle cannot be written: Too many"):
        write(circle)
    with pytest.raises(LeadSyncError, match="pipe cannot be written: nobody reads it"):
        write(pipe)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_pipe_gets_the_result(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write(pipe, 5)
        assert json.loads(os.read(reader, 100_000))["exit_code"] == 5
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_folder_that_cannot_be_written_stops_all(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        folder = Path("/proc/self")  # root may write any other
    else:
        folder = tmp_path / "folder"
        folder.mkdir(mode=0o500)
    began = []
    with (
        pytest.raises(LeadSyncError, match="cannot be written"),
        open_results(folder / "result.json", "run"),
    ):
        began.append(True)
    assert began == []


@pytest.mark.parametrize("place", ["/dev/stdout", "/dev/fd/1", "file"])
def test_the_output_may_be_the_place(site: Site, tmp_path: Path, place: str) -> None:
    site.desire_titles({})
    output = tmp_path / "file"
    output.write_text("a line before\n")
    told = str(output) if place == "file" else place
    with output.open("a") as stdout:
        subprocess.run(
            [str(COMMAND), "runs", "--run-results", told],
            env=site.environment(),
            stdout=stdout,
            timeout=PATIENCE_SECONDS,
            check=True,
        )
    first, rest = output.read_text().split("{", 1)
    assert first.startswith("a line before\n")
    assert json.loads("{" + rest)["command"] == "runs"


def test_an_older_result_is_gone_before_a_run_is_killed(site: Site) -> None:
    lead = next(iter(site.pipedrive.leads()))
    site.desire_titles({lead: "New"})
    file = site.folder / "result.json"
    file.write_text(AN_OLDER_RESULT)
    site.pipedrive.reset(latency_ms=500)
    with ended_at_last(site.start("run", "--run-results", str(file))) as process:
        wait_until(lambda: bool(site.pipedrive.requests()), "no request came")
        process.send_signal(signal.SIGKILL)
        ended: Ended = finish(process)
    assert ended.code == -signal.SIGKILL
    assert not file.exists()
    assert left_beside(site.folder) == []
