"""The report: one file, true to the tables, that needs nothing and runs nothing of others'."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.report.page import page_of
from connector.sandbox import CUSTOM_FIELDS
from connector.warehouse.figures import FieldChange, Figures, Sample
from tests.support.browser import CHROMIUM, Tab, chromium_tab
from tests.support.harness import Ended, NewSite, Row, Site, lead_id

pytestmark = pytest.mark.xdist_group("report page")
looks = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

NOW = datetime(2026, 11, 27, 8, tzinfo=UTC)
HOSTILE = "</script><img src=x onerror=document.title=1> {{ 7 * 7 }} \x1b[2J"
SHOWN = HOSTILE.replace("\x1b", "\\x1b")
COST = CUSTOM_FIELDS["Deal cost"]
LEAD: Row = {
    "title": "Old",
    "value": {"amount": 10, "currency": "EUR"},
    "channel_id": "Spring",
    COST: 5,
    f"{COST}_currency": "SEK",
}
COLUMNS = {
    "lead_id": "VARCHAR",
    "title": "VARCHAR",
    "value_amount": "DECIMAL(9, 2)",
    "value_currency": "VARCHAR",
    "expected_close_date": "DATE",
    "channel_id": "VARCHAR",
    "tier": "VARCHAR",
    "deal_cost": "DECIMAL(9, 2)",
    "deal_cost_currency": "VARCHAR",
}
SAME: Row = {
    "title": "Old",
    "value_amount": 10,
    "value_currency": "EUR",
    "channel_id": "Spring",
    "deal_cost": 5,
    "deal_cost_currency": "SEK",
}
WISHES: dict[str, Row] = {
    "hostile": {"title": HOSTILE},
    "set": {"expected_close_date": "2027-01-31"},
    "changed": {"value_amount": 11},
    "half": {"deal_cost": 6},
    "cleared": {"value_amount": None, "value_currency": None, "channel_id": None},
    "rejected": {"tier": "Goldd"},
    "refused": {"title": "Refused"},
    "same": {},
}
GUARDS = {"max_changed_percent": "off", "max_overwrites_percent": "off"}


class Scene:
    """A run with every kind of change and some misses, one that changes nothing, and the page."""

    def __init__(self, site: Site) -> None:
        self.site = site
        site.pipedrive.reset(leads=20, limits=True)
        for name in WISHES:
            site.pipedrive.set_lead(lead_id(name), **LEAD)
        rows = [{**SAME, "lead_id": lead_id(name), **cells} for name, cells in WISHES.items()]
        rows.append({**SAME, "lead_id": "x" * 300})
        site.desire(COLUMNS, rows)
        site.pipedrive.fault(
            "status", status=400, lead_id=lead_id("refused"), method="PATCH", times=9
        )
        self.first = site.run(**GUARDS)
        self.second = site.run(**GUARDS)
        self.file = site.folder / "report.html"
        self.ended = self.report()

    def report(self, *arguments: str) -> Ended:
        return self.site.command("report", "--out", str(self.file), *arguments)

    @property
    def page(self) -> str:
        return self.file.read_text()

    def count(self, sql: str) -> dict[str, int]:
        return {row["name"]: row["n"] for row in self.site.query(sql)}


@pytest.fixture(scope="module")
def scene(new_site: NewSite) -> Scene:
    made = Scene(new_site())
    made.site.pipedrive.reset(limits=False)
    return made


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with chromium_tab(tmp_path_factory.mktemp("chromium")) as made:
        yield made


def cells(page: str, table: str) -> list[list[str]]:
    """Return the texts of a table's rows."""
    [body] = re.findall(rf'<table[^>]* id="{table}".*?<tbody>(.*?)</tbody>', page, re.DOTALL)
    return [
        [
            html.unescape(re.sub(r"<[^>]+>", "", cell))
            for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
        ]
        for row in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)
    ]


def test_the_command_says_what_it_has_written(scene: Scene) -> None:
    outcomes = sum(scene.site.statuses().values())
    assert scene.ended.code == 0, scene.ended.told
    assert scene.ended.stdout == f"Wrote {scene.file}: 2 runs, {outcomes} outcomes.\n"


def test_the_figures_are_those_of_the_tables(scene: Scene) -> None:
    statuses = scene.site.statuses()
    assert statuses.keys() >= {"applied", "rejected", "failed"}
    told = {row[0].replace(" ", "_"): int(row[1]) for row in cells(scene.page, "by-status")}
    assert told == dict(statuses)
    fields = {row[0]: list(map(int, row[1:4])) for row in cells(scene.page, "by-field")}
    assert fields == {
        "Title": [0, 1, 0],
        "Expected close date": [1, 0, 0],
        "Value": [0, 1, 1],
        "Deal cost": [0, 1, 0],
        "Channel ID": [0, 0, 1],
    }
    assert '<span class="old">5 SEK</span>' in scene.page  # a body of one key is shown whole
    assert '<span class="new">6 SEK</span>' in scene.page
    view = "pipedrive_leads.lead_field_changes"
    by_view = f"SELECT field AS name, count(*) AS n FROM {view} GROUP BY 1"
    assert {name: sum(counts) for name, counts in fields.items()} == scene.count(by_view)
    [[day, tokens, share, _]] = cells(scene.page, "by-day")
    [row] = scene.site.query(
        "SELECT sum(tokens) AS n, max(day_budget) AS day FROM pipedrive_leads.sync_runs"
    )
    assert (date.fromisoformat(day), int(tokens)) == (scene.first.started_at.date(), row["n"])
    assert share == f"{100 * row['n'] / row['day']:.1f} %"
    assert [one[0] for one in cells(scene.page, "by-phase")] == [
        scene.second.run_id,
        scene.first.run_id,
    ]


def test_what_strangers_wrote_is_text(scene: Scene) -> None:
    assert "<img" not in scene.page
    assert scene.page.count("</script>") == 1
    assert "\x1b" not in scene.page
    assert html.escape(SHOWN, quote=False) in scene.page.replace("&#39;", "'")


def test_one_run_alone(scene: Scene) -> None:
    assert scene.report("--run", scene.first.run_id).code == 0
    assert scene.first.run_id in scene.page
    assert scene.second.run_id not in scene.page
    assert scene.report("--run", "latest").code == 0
    assert scene.second.run_id in scene.page
    unknown = scene.report("--run", "nonsense")
    assert (unknown.code, "no run nonsense" in unknown.told) == (1, True)
    assert scene.second.run_id in scene.page  # the page that was there is
    assert scene.report().code == 0


def test_a_file_that_is_no_report_stays(scene: Scene, tmp_path: Path) -> None:
    others = tmp_path / "notes.html"
    others.write_text("<html>mine</html>")
    ended = scene.site.command("report", "--out", str(others))
    assert (ended.code, others.read_text()) == (1, "<html>mine</html>")
    assert "is a file that is no report, and stays as it is" in ended.told
    assert scene.site.command("report", "--out", str(tmp_path / "no" / "where.html")).code == 1
    assert scene.site.command("report", "--out", str(tmp_path)).code == 1
    assert {one.name for one in tmp_path.iterdir()} == {"notes.html"}
    others.write_text("")
    assert scene.site.command("report", "--out", str(others)).code == 0
    assert scene.first.run_id in others.read_text()


def test_a_warehouse_without_runs(site: Site) -> None:
    site.desire_titles({})
    file = site.folder / "report.html"
    ended = site.command("report", "--out", str(file))
    assert (ended.code, ended.stdout) == (0, f"Wrote {file}: 0 runs, 0 outcomes.\n")
    assert "No outcome was written." in file.read_text()


def test_the_policy_allows_the_pages_own_style_and_script_alone(scene: Scene) -> None:
    [policy] = re.findall(r'Security-Policy" content="([^"]+)"', scene.page)
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        [text] = re.findall(rf"<{tag}>(.*?)</{tag}>", scene.page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert " style=" not in scene.page
    assert "http://" not in scene.page
    assert "https://" not in scene.page


def change(number: int) -> FieldChange:
    names = ("20261127-080000-000000", f"lead-{number}", f"Lead {number}", "Title")
    return FieldChange(NOW + timedelta(seconds=number), *names, "changed", "a", f"b{number}")


def test_of_a_large_run_some_are_drawn_and_it_says_so() -> None:
    figures = Figures([], "")
    for number in range(2500):
        figures.changes.add(change(number))
    page = page_of(figures, "runs of 30 days", NOW)
    assert "1,000 of 2,500 values are here, drawn at random" in page
    assert page.count('data-kind="changed"') == 1000


def test_a_sample_keeps_all_of_a_few_and_some_of_many_in_their_order() -> None:
    few: Sample[int] = Sample(5)
    for number in range(5):
        few.add(number)
    assert few.rows == [0, 1, 2, 3, 4]
    seen: Counter[int] = Counter()
    many: Sample[int] = Sample(100)
    for number in range(1000):
        many.add(number)
    assert many.rows == sorted(many.rows)
    assert (len(many.rows), many.total) == (100, 1000)
    seen.update(one // 250 for one in many.rows)
    assert all(10 < seen[quarter] < 45 for quarter in range(4))


@looks
@pytest.mark.parametrize("width", [320, 400, 800, 1400])
def test_a_browser_shows_it_without_trouble_at_any_width(
    scene: Scene, tab: Tab, width: int
) -> None:
    tab.open(scene.file, width)
    assert tab.troubles == []
    assert [url for url in tab.requests if not url.startswith("data:")] == [scene.file.as_uri()]
    wide = "document.documentElement.scrollWidth <= window.innerWidth"
    assert tab.evaluate(wide), tab.evaluate("document.documentElement.scrollWidth")
    assert tab.evaluate("window.innerWidth") == width
    assert tab.evaluate("document.images.length") == 0
    assert tab.evaluate("document.title").startswith("lead-sync: ")
    assert SHOWN in tab.evaluate("document.body.textContent")
    figures = tab.evaluate(
        "Object.fromEntries([...document.querySelectorAll('#by-status tbody tr')]"
        ".map((row) => [row.cells[0].textContent.trim().replace(/ /g, '_'), "
        "Number(row.cells[1].textContent)]))"
    )
    assert figures == dict(scene.site.statuses())


def rows_shown(tab: Tab, table: str) -> int:
    found = tab.evaluate(
        f"[...document.querySelectorAll('#{table} tbody tr')].filter((row) => !row.hidden).length"
    )
    return int(found)


@looks
@pytest.mark.parametrize("width", [400, 1400])
def test_the_filter_finds_words_and_kinds(scene: Scene, tab: Tab, width: int) -> None:
    tab.open(scene.file, width)
    form = "form[data-table=all-misses]"
    misses = sum(count for name, count in scene.site.statuses().items() if name != "applied")
    assert rows_shown(tab, "all-misses") == misses
    tab.type(f"{form} input", "goldd")
    assert rows_shown(tab, "all-misses") == 2  # it is rejected by each run
    assert tab.evaluate(f"document.querySelector('{form} output').textContent") == (
        f"2 of {misses} rows"
    )
    tab.type(f"{form} input", "goldd nowhere")
    assert rows_shown(tab, "all-misses") == 0
    tab.type(f"{form} input", "")
    choose = (
        f"(() => {{ const one = document.querySelector('{form} select'); one.value = 'failed'; "
        "one.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    tab.evaluate(choose)
    assert rows_shown(tab, "all-misses") == scene.site.statuses()["failed"]
    assert tab.troubles == []


@looks
def test_a_head_sorts_its_column_and_says_how(scene: Scene, tab: Tab) -> None:
    tab.open(scene.file, 1400)
    values = (
        "[...document.querySelectorAll('#all-runs tbody tr')]"
        ".map((row) => Number(row.cells[5].dataset.value))"
    )
    head = "document.querySelectorAll('#all-runs thead th')[5]"
    tokens = sorted(row["tokens"] for row in scene.site.runs())
    tab.evaluate(f"{head}.querySelector('button').focus()")
    tab.press("Enter")
    assert tab.evaluate(values) == tokens
    assert tab.evaluate(f"{head}.getAttribute('aria-sort')") == "ascending"
    tab.press("Enter")
    assert tab.evaluate(values) == tokens[::-1]
    assert tab.evaluate(f"{head}.getAttribute('aria-sort')") == "descending"


@looks
def test_a_keyboard_and_a_screen_reader_find_their_way(scene: Scene, tab: Tab) -> None:
    tab.open(scene.file, 400)
    tab.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the figures"
    told: list[dict[str, Any]] = tab.call("Accessibility.getFullAXTree")["nodes"]
    roles = Counter(str(node.get("role", {}).get("value")) for node in told)
    assert roles["main"] == roles["banner"] == roles["contentinfo"] == 1
    assert roles["table"] >= 5
    assert roles["rowheader"] >= len(WISHES)
    named = [node for node in told if node.get("role", {}).get("value") in NAMED]
    assert len(named) >= 10
    assert [node for node in named if not node.get("name", {}).get("value")] == []


NAMED = {"searchbox", "combobox", "button", "link", "heading"}


@looks
def test_it_is_light_and_dark(scene: Scene, tab: Tab) -> None:
    shades = []
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        tab.call("Emulation.setEmulatedMedia", features=features)
        tab.open(scene.file, 1400)
        shown = "getComputedStyle(document.body)"
        shades.append((tab.evaluate(f"{shown}.backgroundColor"), tab.evaluate(f"{shown}.color")))
    (paper, ink), (dark_paper, light_ink) = [tuple(map(brightness, each)) for each in shades]
    assert min(paper, light_ink) > 600
    assert max(ink, dark_paper) < 200


def brightness(color: str) -> int:
    """Return the sum of a color's three parts."""
    return sum(map(int, re.findall(r"\d+", color)[:3]))
