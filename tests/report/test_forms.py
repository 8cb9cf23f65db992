"""A stored plan as Markdown, CSV and HTML: whatever strangers have written, it stays data."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.planning.model import STATUSES
from connector.records.text import HIDDEN
from connector.report.forms import LARGEST_COMMENT, csv_text, html_page, markdown
from tests.support.account import LEAD_ID

HOSTILE = [
    "@everyone see #12 and https://evil.example",
    "a | b || c",
    "`code` ``two`` ```three",
    "`",
    "<script>alert(1)</script>",
    "![x](http://evil.example/x.png)",
    "</td></table><h1>",
    "<!--",
    "\x1b[2J\r\n\u202e",
    "\\| \\` \\",
    "=HYPERLINK(1)",
    " =1+1",
    "+1",
    "-1",
    "@SUM(1)",
    "\t=1",
    "＝1",
    'say "hi", you\'',
    "&lt;b&gt;",
]

WORDS = st.text(min_size=1, max_size=60).filter(str.strip)


def document(text: str, patches: int = 1, misses: int = 1) -> dict[str, Any]:
    """A plan in which strangers have written these texts in every place that is theirs."""
    change = {"key": "title", "field": text, "kind": "changed", "old": text, "new": text}
    patch = {"patch_id": "p", "lead_id": LEAD_ID, "title": text, "status": None, "reason": None}
    run: dict[str, Any] = {
        **dict.fromkeys(STATUSES, 0),
        **{"run_id": "20260101-000000-abcdef", "planned": patches, "unchanged": 2},
        **{"state": "done", "message": text, "tripped": [], "rejected": misses},
    }
    return {
        "kind": "plan",
        "run": run,
        "patches": [{**patch, "changes": [change]}] * patches,
        "misses": [
            {"lead_id": text, "title": text, "status": "rejected", "reason": text, "fields": [text]}
        ]
        * misses,
    }


class Seen(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on") or name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


OURS = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}


@pytest.mark.parametrize("text", HOSTILE)
def test_html_has_no_tag_but_ours(text: str) -> None:
    seen = Seen()
    seen.feed(html_page(document(text)))
    assert set(seen.tags) <= OURS
    assert seen.tags.count("td") == html_page(document("plain")).count("<td>")


def outside_code(line: str) -> str:
    """What of a line of Markdown is no code."""
    assert all(re.fullmatch(r"(?:[^\W_]|[ &#;])*", one) for one in re.findall(CODE, line))
    return re.sub(r"`[^`|\\]+`", "", re.sub(CODE, "", line))


CODE = r"<code>(.*?)</code>"
HEADINGS = re.compile(r"[\w .:,*#|()-]*")


@given(st.sampled_from(HOSTILE) | WORDS)
def test_markdown_shows_what_strangers_wrote_as_code_alone(text: str) -> None:
    told, plain = markdown(document(text)), markdown(document("plain"))
    lines, usual = told.splitlines(), plain.splitlines()
    assert len(lines) == len(usual)
    for line, of_plain in zip(lines, usual, strict=True):
        outside = outside_code(line)
        assert outside.count("|") == of_plain.count("|")
        assert HEADINGS.fullmatch(outside), line


@given(st.sampled_from(HOSTILE) | WORDS)
def test_no_cell_of_csv_is_a_formula(text: str) -> None:
    rows = list(csv.reader(io.StringIO(csv_text(document(text)))))
    assert [len(row) for row in rows] == [10] * 3
    for cell in (cell for row in rows for cell in row):
        assert cell.lstrip()[:1] not in {*"=+-@\t\r", "＝", "＋", "－", "＠"}
        assert {unicodedata.category(char) for char in cell}.isdisjoint(HIDDEN)


def test_csv_has_a_row_a_field_and_a_row_a_miss() -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(document("Title", patches=2, misses=1)))))
    assert [row["status"] for row in rows] == ["planned", "planned", "rejected"]
    assert {row["run_id"] for row in rows} == {"20260101-000000-abcdef"}


@pytest.mark.parametrize("text", ["A title", "Ü" * 190, "日本" * 90])
def test_markdown_fits_a_comment_and_says_what_it_leaves_out(text: str) -> None:
    told = markdown(document(text, patches=3000, misses=700))
    assert 40_000 < len(told.encode()) <= LARGEST_COMMENT
    assert len(told) <= LARGEST_COMMENT
    last = told.splitlines()[-1]
    assert last.startswith("Cut to fit a comment: ")
    assert last.endswith("`lead-sync show 20260101-000000-abcdef --output csv` has all.")
    shown = sum(line.startswith("| ") for line in told.splitlines()) - 4
    left = [int(word) for word in last.replace(",", "").split() if word.isdigit()]
    assert shown + sum(left) == 3000 + 700
    assert "Cut to fit" not in markdown(document(text, patches=3, misses=3))
