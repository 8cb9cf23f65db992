"""What machines read: `--run-results FILE` and `plan --output json`, against their schemas."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import duckdb
import pytest
from openapi_schema_validator import OAS31Validator

from connector import cli
from connector.planning.guards import GUARDS
from connector.planning.model import STATUSES
from connector.report.runs import CUT_OFF
from connector.report.words import KINDS
from connector.sandbox import CUSTOM_FIELDS
from connector.sync import summary
from connector.warehouse import record
from tests.support.harness import AN_OLDER_RESULT, Ended, NewSite, Row, Site
from tests.support.schemas import SCHEMAS, problems

pytestmark = pytest.mark.xdist_group("report run_results")

NOWHERE = "00000000-0000-4000-8000-000000000000"
TYPES = {
    "lead_id": "VARCHAR",
    "title": "VARCHAR",
    "expected_close_date": "DATE",
    "lead_score": "DOUBLE",
}


@dataclass
class Seen:
    """What each command printed, and what it wrote for machines, by a name."""

    site: Site
    ended: dict[str, Ended] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def command(self, name: str, *arguments: str, **settings: Any) -> Row:
        """Run a command and keep its output and its file, which held an older result."""
        file = self.site.folder / f"{name}.json"
        file.write_text(AN_OLDER_RESULT)
        told = [*arguments, "--run-results", str(file)]
        self.ended[name] = self.site.command(*told, **settings)
        self.files[name] = file.read_text()
        return self.result(name)

    def result(self, name: str) -> Row:
        document: Row = json.loads(self.files[name])
        return document


def rows_for(leads: list[str], title: str, score: float | None, date: str | None) -> list[Row]:
    wanted = {"title": title, "lead_score": score, "expected_close_date": date}
    return [{"lead_id": lead, **wanted} for lead in leads]


@pytest.fixture(scope="module")
def seen(new_site: NewSite) -> Seen:
    """Every command, and every way to end."""
    seen = Seen(new_site())
    site, pipedrive = seen.site, seen.site.pipedrive
    active = [lead["id"] for lead in pipedrive.leads().values() if not lead["is_archived"]]
    leads, archived = sorted(active[:3]), active[3]
    pipedrive.archive_lead(archived)
    site.desire(TYPES, rows_for(leads, "First", 7.5, None))
    seen.command("check", "check", "--output", "json")
    seen.command("columns", "columns", "--output", "json")
    plan = seen.command("plan", "plan", "--output", "json", "--detailed-exitcode")
    seen.command("guarded", "run", "--max-patches", "0", "--max-clears", "0")
    spent = 2 + 20 + 20 + 10
    seen.command("budget", "run", workers=1, token_budget=spent)
    seen.command("apply", "apply", plan["plan_id"], "--max-patches", "off", max_patches="1")
    site.desire(TYPES, rows_for(leads, "Second", None, None))
    run = seen.command("run", "run", "--max-clears", "off")
    pipedrive.set_lead(leads[0], title="Edited")
    revert = ("revert", run["run_id"], "--yes", "--output", "json")
    seen.command("revert", *revert)
    other = rows_for([*leads, archived, NOWHERE, "x"], "Third", None, "2027-01-31")
    site.desire(TYPES, [*other, {"lead_id": None}])
    seen.command("plan_with_troubles", "plan", "--output", "json", on_conflict="crm")
    seen.command("incomplete", "run", on_conflict="crm")
    seen.command("runs", "runs")
    seen.command("one_run", "runs", run["run_id"], "--output", "json")
    end_in_errors(seen)
    return seen


def end_in_errors(seen: Seen) -> None:
    seen.command("bad_token", "run", api_token="wrong")
    seen.command("bad_host", "plan", base_url="http://127.0.0.1:9", max_attempts=1)
    seen.command("bad_config", "run", workers=0)
    seen.command("bad_check", "check", api_token="wrong")
    seen.command("bad_plan_id", "apply", "no-such-plan")
    seen.command("unasked", "revert", seen.result("incomplete")["run_id"])
    with duckdb.connect(str(seen.site.database)):
        seen.command("locked", "run")


CODES = {
    "check": 0,
    "columns": 0,
    "plan": 2,
    "guarded": 4,
    "budget": 5,
    "apply": 0,
    "run": 0,
    "revert": 3,
    "plan_with_troubles": 0,
    "incomplete": 3,
    "runs": 0,
    "one_run": 0,
    "bad_token": 1,
    "bad_host": 1,
    "bad_config": 1,
    "bad_check": 1,
    "bad_plan_id": 1,
    "unasked": 1,
    "locked": 1,
}
FAILED = [name for name, code in CODES.items() if code == 1 and name != "bad_check"]
COMMANDS = {"guarded": "run", "budget": "run", "incomplete": "run", "one_run": "runs"} | {
    "plan_with_troubles": "plan",
    "bad_token": "run",
    "bad_host": "plan",
    "bad_config": "run",
    "bad_check": "check",
    "bad_plan_id": "apply",
    "unasked": "revert",
    "locked": "run",
}


@pytest.mark.parametrize("name", CODES)
def test_the_file_is_as_its_schema_says(seen: Seen, name: str) -> None:
    assert problems("run_results", seen.result(name)) == []
    assert seen.result(name)["command"] == COMMANDS.get(name, name)


@pytest.mark.parametrize("name", CODES)
def test_the_file_has_the_exit_code_of_the_process(seen: Seen, name: str) -> None:
    told = seen.ended[name].told
    assert (seen.ended[name].code, seen.result(name)["exit_code"]) == (CODES[name],) * 2, told


@pytest.mark.parametrize("name", FAILED)
def test_the_file_has_the_message_that_a_person_reads(seen: Seen, name: str) -> None:
    last_line = seen.ended[name].stderr.splitlines()[-1]
    assert last_line.startswith("error: ")
    assert seen.result(name)["message"] in last_line
    assert "Traceback" not in seen.ended[name].stderr


def test_a_run_that_failed_on_its_way_says_how_far_it_came(seen: Seen) -> None:
    assert seen.result("bad_token")["state"] == "failed"
    assert "run_id" not in seen.result("bad_config")


def test_a_guard_tells_machines_what_would_accept_the_plan(seen: Seen) -> None:
    document = seen.result("guarded")
    by_name = {one["guard"]: one for one in document["tripped"]}
    assert {name: one["accept"] for name, one in by_name.items()} == {
        "max_patches": "--max-patches 3",
        "max_clears": f"--max-clears {by_name['max_clears']['found']}",
    }
    assert by_name["max_patches"]["samples"] == []
    assert "which would lose Expected close date" in by_name["max_clears"]["samples"][0]


def test_an_overridden_guard_names_its_user(seen: Seen) -> None:
    [overridden] = seen.result("apply")["overridden"]
    assert (overridden["guard"], overridden["limit"]) == ("max_patches", 1)
    assert overridden["user"]
    assert overridden["host"]


@pytest.mark.parametrize("name", ["plan", "plan_with_troubles"])
def test_a_plan_is_as_its_schema_says(seen: Seen, name: str) -> None:
    document = json.loads(seen.ended[name].stdout)
    assert problems("plan", document) == []
    assert document["summary"]["planned"] == len({one["lead_id"] for one in document["patches"]})


def test_a_plan_tells_its_troubles(seen: Seen) -> None:
    document = json.loads(seen.ended["plan_with_troubles"].stdout)
    statuses = sorted(one["status"] for one in document["settled"])
    assert statuses == ["archived", "conflict", "not_found", "rejected", "rejected"]
    kinds = {change["kind"] for one in document["patches"] for change in one["changes"]}
    assert kinds == set(KINDS)


def test_a_revert_prints_its_plan_and_its_run(seen: Seen) -> None:
    document = json.loads(seen.ended["revert"].stdout)
    assert problems("plan", document["plan"]) == []
    assert document["run"].items() < seen.result("revert").items()
    assert document["run"]["outcomes"]["conflict"] == 1
    scores = [one["body"].get(CUSTOM_FIELDS["Lead score"]) for one in document["plan"]["patches"]]
    assert scores == [7.5] * 3


def test_what_is_printed_for_machines_is_what_is_written(seen: Seen) -> None:
    assert (
        json.loads(seen.ended["plan"].stdout)["summary"].items()
        <= {
            **seen.result("plan"),
            "exit_code": 0,
        }.items()
    )


def test_the_token_is_nowhere(seen: Seen) -> None:
    texts = [*seen.files.values(), *(ended.told for ended in seen.ended.values())]
    assert [text for text in texts if seen.site.pipedrive.api_token in text] == []


@pytest.mark.parametrize(
    ("place", "why"), [("nowhere/result.json", "No such file"), (".", "directory")]
)
def test_a_file_that_cannot_be_written_stops_all(seen: Seen, place: str, why: str) -> None:
    seen.site.pipedrive.clear_requests()
    file = str(seen.site.folder / place)
    ended = seen.site.command("run", "--run-results", file)
    assert (ended.code, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"error: --run-results {file} cannot be written: ")
    assert why in ended.stderr
    assert seen.site.pipedrive.requests() == []


def test_a_full_disk_is_told_after_the_result(seen: Seen) -> None:
    ended = seen.site.command("runs", "--run-results", "/dev/full")
    assert (ended.code, len(ended.stderr.splitlines())) == (1, 1)
    assert "cannot be written: No space left" in ended.stderr
    assert seen.result("run")["run_id"] in ended.stdout


def test_a_full_disk_does_not_hide_what_went_wrong(seen: Seen) -> None:
    ended = seen.site.command("run", "--run-results", "/dev/full", workers=0)
    assert ended.stderr == "error: workers '0' must be more than 0\n"


@pytest.mark.parametrize("wrong", [("--limit", "0"), ("--run-results",)])
def test_a_usage_error_is_no_crash(seen: Seen, wrong: tuple[str, ...]) -> None:
    ended = seen.site.command("run", *wrong)
    assert (ended.code, ended.stdout) == (1, "")
    assert "Error: " in ended.stderr
    assert "Traceback" not in ended.stderr


def every_property(schema: Row) -> list[Row]:
    own = list(schema.get("properties", {}).values())
    inner = [schema[name] for name in ("items",) if name in schema]
    return own + [each for one in own + inner for each in every_property(one)]


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_property_is_described_and_none_is_unknown(name: str) -> None:
    OAS31Validator.check_schema(SCHEMAS[name])
    described = [SCHEMAS[name], *every_property(SCHEMAS[name])]
    assert [one for one in described if not one.get("description")] == []
    objects = [one for one in described if "properties" in one]
    assert len(objects) >= 2
    assert all(one["additionalProperties"] is False for one in objects)


def enum(name: str, *path: str) -> set[Any]:
    found: Any = SCHEMAS[name]
    for key in path:
        found = found[key] if key == "items" else found["properties"][key]
    return set(found["enum"])


def test_the_enums_are_what_the_code_knows() -> None:
    commands = set(cli.lead_sync.commands)
    assert enum("run_results", "command") == commands - {"sandbox", "demo", "init", "fields"}
    assert enum("run_results", "state") == set(get_args(record.State))
    assert enum("run_results", "exit_code") == set(range(summary.EXIT_UNDER_WAY + 1))
    assert enum("run_results", "tripped", "items", "guard") == set(GUARDS)
    assert enum("plan", "patches", "items", "changes", "items", "kind") == set(KINDS)
    assert enum("plan", "settled", "items", "status") < set(STATUSES)
    assert enum("show", "patches", "items", "status") == {*STATUSES, None}
    assert enum("show", "misses", "items", "status") == {*STATUSES} - {"applied", "confirmed"}
    assert enum("show", "run", "state") == {*get_args(record.State), CUT_OFF}
    assert enum("rehearse", "rehearsed", "items", "status") == {*STATUSES}
    outcomes = SCHEMAS["run_results"]["properties"]["outcomes"]
    assert tuple(outcomes["required"]) == tuple(outcomes["properties"]) == STATUSES


def test_both_schemas_say_the_same_of_a_run() -> None:
    of_plan = SCHEMAS["plan"]["properties"]["summary"]["properties"]
    of_run = SCHEMAS["run_results"]["properties"]
    assert of_plan.keys() == of_run.keys() - {"format", "version"}
    assert [name for name in of_plan if name != "command" and of_plan[name] != of_run[name]] == []


def test_the_file_knows_its_schema_when_it_is_installed() -> None:
    package: Callable[[str], Any] = files("connector").joinpath
    there = {Path(str(one)).name for one in package("schemas").iterdir()}
    assert there == {f"{name}.json" for name in SCHEMAS}
