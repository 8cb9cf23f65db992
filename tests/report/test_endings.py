"""How a run ends on the screen: what it missed, who stopped it, and what to do next."""

from __future__ import annotations

import json
import re
import signal
from typing import Any

import pytest

from tests.support.harness import Ended, Site, bodies, ended_at_last, finish, wait_until
from tests.support.scene import desire, new_leads

TYPES = {"lead_id": "VARCHAR", "title": "VARCHAR", "lead_score": "VARCHAR"}
NOWHERE = "00000000-0000-4000-8000-0000000000{:02d}"


def last_run(site: Site) -> str:
    return str(site.last_run()["run_id"])


def next_of(ended: Ended) -> str:
    [line] = [line for line in ended.stdout.splitlines() if line.startswith("next: ")]
    return line.removeprefix("next: ")


def test_the_first_misses_are_named_with_title_field_and_reason(site: Site) -> None:
    leads = new_leads(site, 3)
    rows: list[dict[str, Any]] = [{"lead_id": lead, "title": "New"} for lead in leads]
    rows += [{"lead_id": NOWHERE.format(number), "title": "New"} for number in range(14)]
    rows[1]["lead_score"] = "many"
    site.desire(TYPES, rows)
    site.pipedrive.fault("status", status=400, method="PATCH", lead_id=leads[0], times=9)
    ended = site.command("run", max_not_found_percent="off")
    assert ended.code == 3, ended.told
    text = ended.stdout
    assert "Not as wanted, 10 of 16:\n" in text
    assert "no such lead: deleted, converted or merged (14 leads)\n" in text
    assert text.count("00000000-0000-4000-8000") == 8
    assert f"               As it is  {leads[0]}  (Title)\n" in text
    rejected = text.index("    rejected   lead_score 'many'")
    assert text[rejected:].splitlines()[1] == f"               As it is  {leads[1]}"
    assert next_of(ended) == (
        f"`lead-sync runs {last_run(site)}` shows all of it; once what was refused is mended, "
        "`lead-sync run --retry-failed` sends it again"
    )


def test_a_run_that_missed_nothing_says_nothing_of_it(site: Site) -> None:
    desire(site, new_leads(site, 2))
    ended = site.command("run")
    assert ended.code == 0
    assert "Not as wanted" not in ended.stdout
    assert "next:" not in ended.stdout


def test_who_takes_a_run_back_is_told_that_the_table_still_wants_it(site: Site) -> None:
    desire(site, new_leads(site, 1))
    assert site.command("run").code == 0
    ended = site.command("revert", "latest", "--yes")
    assert ended.code == 0, ended.told
    assert next_of(ended).startswith("mend the desired table before the next run")


def test_a_refused_revert_is_gone_on_with_by_a_revert_of_the_same(site: Site) -> None:
    first, second, _ = leads = new_leads(site, 3)
    desire(site, leads)
    run = site.run().run_id
    site.pipedrive.fault("status", status=400, method="PATCH", lead_id=first, times=9)
    ended = site.command("revert", run, "--lead", first, "--fields", "Title", "--yes")
    assert ended.code == 3, ended.told
    told = next_of(ended)
    again = f"lead-sync revert {run} --lead {first} --fields Title"
    assert f"once what was refused is mended, `{again}` sends it again" in told
    assert told.endswith(
        "; mend the desired table before the next run, which sends again what it still wants"
    )
    assert next_of(site.command("runs", "latest")).endswith(told.partition("; ")[2])
    site.pipedrive.clear_faults()
    site.pipedrive.clear_requests()
    assert site.command(*again.split()[1:], "--yes").code == 0
    assert bodies(site.pipedrive) == {first: [{"title": "As it is"}]}
    assert site.pipedrive.lead(second)["title"] != "As it is"


def test_a_revert_that_ends_while_it_plans_begins_again(site: Site) -> None:
    leads = new_leads(site, 2)
    desire(site, leads)
    run = site.run().run_id
    ended = site.command("revert", run, "--lead", leads[0], "--yes", token_budget=3)
    assert ended.code == 5, ended.told
    assert next_of(ended).endswith(f"`lead-sync revert {run} --lead {leads[0]}` begins again")


def test_what_goes_on_is_no_wider_than_what_stopped(site: Site) -> None:
    leads = new_leads(site, 3)
    desire(site, leads)
    narrowed = ("--limit", "2", "--fields", "title")
    ended = site.command("run", *narrowed, token_budget=33)
    assert ended.code == 5, ended.told
    assert next_of(ended).endswith(
        "; `lead-sync run --limit 2 --fields title` goes on with the rest"
    )
    assert "only        --limit 2 --fields title" in site.command("runs", "latest").stdout
    plan = site.plan(limit=2).plan_id
    site.pipedrive.fault("status", status=400, method="PATCH", times=9)
    ended = site.command("apply", plan)
    again = "`lead-sync plan --retry-failed --limit 2` plans it anew"
    assert next_of(ended).endswith(f"once what was refused is mended, {again}")


def test_a_stored_plan_that_was_stopped_is_planned_anew_or_applied(site: Site) -> None:
    leads = new_leads(site, 3)
    desire(site, leads)
    plan = site.plan(lead=leads[0]).plan_id
    ended = site.command("apply", plan, token_budget=3)
    assert next_of(ended).endswith(f"`lead-sync apply {plan}` goes on with the rest"), ended.told
    plan = site.plan(limit=2).plan_id
    ended = site.command("apply", plan, token_budget=25)
    assert ended.code == 5, ended.told
    assert next_of(ended).endswith("`lead-sync plan --limit 2` plans the rest anew")


def test_a_stored_plan_that_was_cut_off_is_applied_to_its_end(site: Site) -> None:
    desire(site, new_leads(site, 3))
    plan = site.plan().plan_id
    site.pipedrive.fault("hang", method="PATCH", seconds=30.0, write="before")
    process = site.start("apply", plan, workers=1)
    with ended_at_last(process):
        wait_until(lambda: bool(site.pipedrive.requests("PATCH")), "nothing is sent")
        process.kill()
        process.communicate()
    site.pipedrive.clear_faults()
    told = next_of(site.command("runs", "latest"))
    assert told.endswith(f"`lead-sync apply {plan}` goes on with the rest")
    assert site.command("apply", plan).code == 0
    assert set(site.statuses()) == {"applied", "confirmed"}


def test_check_says_which_command_comes_next(site: Site) -> None:
    leads = new_leads(site, 1)
    desire(site, leads)
    assert "`lead-sync plan`" in next_of(site.command("check"))
    site.desire({"lead_id": "VARCHAR", "titel": "VARCHAR"}, [{"lead_id": leads[0]}])
    assert "`lead-sync columns`" in next_of(site.command("check"))
    assert "next:" not in site.command("check", api_token="wrong").stdout
    assert "next:" not in site.command("columns").stdout


def lines_of_log(ended: Ended) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ended.stderr.splitlines()]


def test_a_log_for_machines_ends_with_what_the_run_came_to(site: Site) -> None:
    desire(site, new_leads(site, 2))
    ended = site.command("run", "--log-format", "json")
    last = lines_of_log(ended)[-1]
    assert last["message"] == f"run {last['run_id']} done"
    assert (last["level"], last["command"], last["exit_code"]) == ("info", "run", 0)
    assert (last["planned"], last["outcomes"]) == (2, {"applied": 2})


def test_a_log_for_machines_has_errors_as_lines_too(site: Site) -> None:
    desire(site, new_leads(site, 1))
    site.pipedrive.fault("status", status=401, method="PATCH", times=100)
    for settings in ({"api_token": "wrong"}, {"on_null": "never"}, {}):
        ended = site.command("run", "--log-format", "json", **settings)
        assert ended.code == 1
        last = lines_of_log(ended)[-1]
        assert (last["level"], last["exit_code"]) == ("error", 1)
        assert last["message"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "--log-format", "json", "--limit", "0"], "Invalid value for '--limit'"),
        (["run", "--nope", "--log-format=json"], "--nope"),
        (["apply", "--log-format", "json"], "Missing argument 'PLAN_ID'"),
        (["run", "--log-format", "json", "--run-results", "/nope/x"], "cannot be written"),
    ],
)
def test_a_log_for_machines_has_wrong_usage_as_a_line_too(
    site: Site, arguments: list[str], told: str
) -> None:
    ended = site.command(*arguments)
    [line] = lines_of_log(ended)
    assert (ended.code, line["level"], line["exit_code"]) == (1, "error", 1)
    assert told in line["message"]


def test_a_log_for_machines_ends_with_what_a_rehearsal_came_to(site: Site) -> None:
    desire(site, new_leads(site, 2))
    assert site.command("plan").code == 0
    ended = site.command("rehearse", "--log-format", "json")
    last = lines_of_log(ended)[-1]
    assert (last["level"], last["command"], last["exit_code"]) == ("info", "rehearse", 0)
    assert (ended.code, last["outcomes"]) == (0, {"applied": 2})


def test_a_breaker_after_refusals_hints_at_the_way_to_send_them_again(site: Site) -> None:
    desire(site, new_leads(site, 12))
    site.pipedrive.fault("status", status=400, method="PATCH", times=100)
    ended = site.command("run", breaker_failures=3, workers=1)
    assert ended.code == 5, ended.told
    assert "Stopped: 3 patches in a row failed or were not taken." in ended.stdout
    assert "lead-sync run --retry-failed" in next_of(ended)
    told = "deferred   the run stopped: 3 patches in a row failed or were not taken (9 leads)\n"
    assert told in ended.stdout
    assert "to be sent again" not in ended.stdout


def test_a_breaker_after_outages_goes_on_without_it(site: Site) -> None:
    desire(site, new_leads(site, 6))
    site.pipedrive.fault("status", status=500, method="PATCH", times=100)
    ended = site.command("run", breaker_failures=2, workers=1, max_attempts=1)
    assert ended.code == 5, ended.told
    assert next_of(ended).endswith("; `lead-sync run` goes on with the rest")


def test_a_guard_has_a_command_to_look_before_the_flag(site: Site) -> None:
    desire(site, new_leads(site, 3))
    ended = site.command("run", max_patches=2)
    run_id = last_run(site)
    assert ended.code == 4
    assert next_of(ended) == (
        f"`lead-sync show {run_id} --all` shows all of it; if it is right, send it by "
        f"`lead-sync apply {run_id}` and accept it with --max-patches 3"
    )
    looked = site.command("show", run_id, "--all")
    assert (looked.code, looked.stdout.count("As it is → Title of")) == (0, 4)
    accepted = site.command("apply", run_id, "--max-patches", "3", max_patches=2)
    assert accepted.code == 0, accepted.told


def test_an_empty_table_is_looked_at_and_run_again(site: Site) -> None:
    new_leads(site, 3)
    site.desire_titles({})
    ended = site.command("run")
    assert ended.code == 4, ended.told
    assert next_of(ended) == (
        "look at the desired table; if it is right, run it again and accept it with "
        "--empty-desired allow"
    )


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")]
)
def test_a_signal_is_told_as_what_it_was(site: Site, number: int, name: str) -> None:
    desire(site, new_leads(site, 30))
    site.pipedrive.settings(latency_ms=100)
    process = site.start("run", workers=1)
    with ended_at_last(process):
        wait_until(lambda: len(site.pipedrive.requests("PATCH")) > 2, "nothing is sent")
        process.send_signal(number)
        ended = finish(process)
    assert ended.code == 5, ended.told
    [why] = re.findall(r"^Stopped by .*$", ended.stdout, re.MULTILINE)
    assert re.fullmatch(rf"Stopped by {name} at \d\d:\d\d:\d\d UTC\.", why)
    stored = str(site.last_run()["message"])
    assert stored == why[0].lower() + why[1:-1]
    assert site.last_run()["exit_code"] == 5
    assert f"deferred   the run stopped: {stored.removeprefix('stopped ')} (" in ended.stdout
    assert next_of(ended).endswith("; `lead-sync run` goes on with the rest")
    at_once = [line for line in ended.stderr.splitlines() if "a second one ends it at once" in line]
    assert len(at_once) == 1
    assert f"stopped by {name} at" in at_once[0]
    assert "waits for the PATCHes that are on their way" in at_once[0]


def test_a_limit_of_time_is_told_as_what_it_was(site: Site) -> None:
    desire(site, new_leads(site, 60))
    site.pipedrive.settings(latency_ms=150)
    ended = site.command("run", "--max-seconds", "5", workers=1)
    assert ended.code == 5, ended.told
    assert "Stopped by max_seconds 5.\n" in ended.stdout
    assert site.last_run()["message"] == "stopped by max_seconds 5"
    assert "Ctrl-C" not in ended.told


def test_every_error_of_a_run_has_its_id_and_stays_a_line(site: Site) -> None:
    leads = new_leads(site, 8)
    desire(site, leads)
    site.pipedrive.fault("status", status=400, method="PATCH", lead_id=leads[0], times=1)
    site.pipedrive.fault("status", status=401, method="PATCH", lead_id=leads[1], times=9)
    ended = site.command("run", workers=1)
    assert ended.code == 1, ended.told
    run_id, last = last_run(site), ended.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert f"run {run_id}" in last
    assert last.endswith(f"; next: `lead-sync runs {run_id}` shows how far it came")
    assert "Not as wanted, " in ended.stderr
    assert f"As it is  {leads[0]}  (Title)" in ended.stderr
    assert ended.stdout == ""


def test_an_error_before_a_run_began_has_none(site: Site) -> None:
    desire(site, new_leads(site, 1))
    ended = site.command("run", workers=0)
    assert ended.stderr == "error: workers '0' must be more than 0\n"


def test_an_error_that_nobody_expected_has_the_run_too(site: Site) -> None:
    desire(site, new_leads(site, 1))
    ended = site.command("run", timezone="UTC", api_token="wrong")
    assert f"error: run {last_run(site)}: 401" in ended.stderr
    assert ended.stderr.rstrip().endswith("next: `lead-sync check` looks closer")
