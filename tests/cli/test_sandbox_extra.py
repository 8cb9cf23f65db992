"""Without the extra `sandbox` the job works, and what needs the extra says how to install it."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.forking import COMMAND
from tests.support.harness import ROOT, Site, run_to_end

BLOCKER = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"starlette", "uvicorn", "httptools", "uvloop", "h11"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
"""
WAY_OUT = "pip install 'lead-sync[sandbox]'"


@pytest.fixture
def without(tmp_path: Path) -> dict[str, str]:
    """The environment of a Python in which the server's libraries are not installed."""
    (tmp_path / "sitecustomize.py").write_text(BLOCKER)
    return {"PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize("command", ["sandbox", "demo"])
def test_a_command_without_the_extra_says_how_to_install_it(
    site: Site, without: dict[str, str], tmp_path: Path, command: str
) -> None:
    earlier = tmp_path / "demo.duckdb"
    earlier.write_text("of an earlier demo")
    told = run_to_end([str(COMMAND), command], {**site.environment(), **without}, tmp_path)
    assert (told.code, told.stdout) == (1, "")
    [line] = told.stderr.splitlines()
    assert line.startswith("error: ")
    assert "No module named 'uvicorn'" in line
    assert line.endswith(WAY_OUT)
    assert "unexpected" not in line
    assert earlier.read_text() == "of an earlier demo"


def test_the_module_says_so_too(site: Site, without: dict[str, str], tmp_path: Path) -> None:
    call = [sys.executable, "-m", "connector.sandbox"]
    told = run_to_end(
        call, {**site.environment(), "PYTHONPATH": f"{without['PYTHONPATH']}:{ROOT}"}, tmp_path
    )
    assert (told.code, told.stdout, len(told.stderr.splitlines())) == (1, "", 1)
    assert told.stderr.rstrip().endswith(WAY_OUT)


def test_a_run_needs_no_extra(site: Site, without: dict[str, str], tmp_path: Path) -> None:
    lead = min(site.pipedrive.leads())
    site.desire_titles({lead: "New"})
    told = run_to_end([str(COMMAND), "run"], {**site.environment(), **without}, tmp_path)
    assert told.code == 0, told.told
    assert site.pipedrive.lead(lead)["title"] == "New"


def test_a_rehearsal_without_the_extra_says_so(
    site: Site, without: dict[str, str], tmp_path: Path
) -> None:
    site.desire_titles({min(site.pipedrive.leads()): "New"})
    site.plan()
    told = run_to_end([str(COMMAND), "rehearse"], {**site.environment(), **without}, tmp_path)
    assert (told.code, told.stdout) == (1, "")
    line = told.stderr.splitlines()[-1]
    assert line.startswith("error: the plan cannot be rehearsed: ")
    assert line.endswith(WAY_OUT)


def test_the_extra_has_what_serves_and_dev_has_the_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {one.partition(">")[0] for one in project["optional-dependencies"]["sandbox"]}
    assert names == {"starlette", "uvicorn", "httptools", "uvloop"}
    assert "lead-sync[postgres,sandbox]" in project["optional-dependencies"]["dev"]
    required = {one.partition(">")[0].partition("[")[0] for one in project["dependencies"]}
    assert required.isdisjoint({*names, "typer"})
    assert "click" in required
