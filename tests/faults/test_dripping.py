"""Answers that come byte by byte: never silent, and never there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connector import LeadSyncError
from connector.sync.summary import Summary
from tests.support.books import MAYBE, assert_books
from tests.support.cases import check_each
from tests.support.front import FORMS, Answer, Drip, Raw, front_of
from tests.support.harness import Site, wait_until
from tests.support.scene import assert_titles, desire, new_leads

LEADS = 6
SETTINGS = {"timeout_seconds": 0.5, "workers": 4}
FORM = pytest.mark.parametrize("form", FORMS)
NO_LEAD = Raw(b'{"success": true, "data": null}')


@pytest.fixture
def titles(site: Site) -> Iterator[dict[str, str]]:
    """The titles that are wanted, and that a run in front of nothing brings there in the end."""
    wanted = desire(site, new_leads(site, LEADS))
    yield wanted
    site.run()
    assert_books(site)
    assert_titles(site, wanted)


def run_behind(site: Site, answer: Answer, after: Answer, attempts: int = 1) -> Summary:
    with front_of(site.pipedrive.base_url, answer, after=after) as url:
        return site.run(base_url=url, max_attempts=attempts, **SETTINGS)


def nothing(_method: str, _path: str) -> None:
    return None


def dripping(drip: Drip, *methods: str, path: str = "") -> Answer:
    """Let the calls of some methods, and with this in their path, get an answer that drips."""

    def answer(method: str, called: str) -> Raw | None:
        fits = method in methods and path in called
        return Raw(NO_LEAD.body, drip=drip) if fits else None

    return answer


def assert_hung_up(drip: Drip, calls: int) -> None:
    wait_until(lambda: len(drip.ends) >= calls, "a call drips on")
    assert drip.ends == [True] * calls


def test_a_list_that_drips_ends_the_run(site: Site, titles: dict[str, str]) -> None:
    def check(form: str) -> None:
        drip = Drip(form)
        with pytest.raises(LeadSyncError, match=r"no answer|an answer of more than"):
            run_behind(site, dripping(drip, "GET"), nothing)
        assert_hung_up(drip, calls=1)
        assert site.last_run()["state"] == "failed"
        assert site.pipedrive.requests("PATCH") == []

    check_each(FORMS, check)
    assert len(site.runs()) == len(FORMS)


def test_an_answer_to_a_patch_that_drips_is_read_back(site: Site, titles: dict[str, str]) -> None:
    """Each form on a lead of its own; one lead is answered as it should be."""
    drips = dict(zip(sorted(titles), map(Drip, FORMS), strict=False))
    answers = [dripping(drip, "PATCH", path=lead) for lead, drip in drips.items()]

    def after(method: str, called: str) -> Raw | None:
        return next(filter(None, (answer(method, called) for answer in answers)), None)

    summary = run_behind(site, nothing, after, attempts=3)
    for drip in drips.values():
        assert_hung_up(drip, calls=1)
    assert summary.exit_code == 0
    outcomes = {row["lead_id"]: row["status"] for row in site.outcomes()}
    assert [outcomes.pop(lead) for lead in drips] == ["confirmed"] * len(FORMS)
    assert [*outcomes.values()] == ["applied"]
    assert_books(site)


@FORM
def test_where_the_reading_drips_too_the_patch_may_be_in_effect(
    site: Site, titles: dict[str, str], form: str
) -> None:
    drip, one = Drip(form), min(titles)
    summary = run_behind(site, nothing, dripping(drip, "PATCH", "GET", path=one))
    assert_hung_up(drip, calls=2)
    assert (summary.exit_code, summary.statuses["failed"]) == (3, 1)
    [outcome] = [row for row in site.outcomes() if row["lead_id"] == one]
    assert MAYBE in outcome["reason"]
    assert_books(site)
