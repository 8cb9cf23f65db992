"""The scripts to copy begin as the pages say."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support.harness import run_to_end


@pytest.mark.parametrize(("script", "arguments"), [("sync_leads", []), ("backfill_leads", ["a.b"])])
def test_the_scripts_say_what_is_missing(script: str, arguments: list[str], tmp_path: Path) -> None:
    call = [sys.executable, "-m", f"pipelines.{script}", *arguments]
    environment = os.environ | {"DLT_DATA_DIR": str(tmp_path)}
    done = run_to_end(call, environment, forked=True)
    assert done.code == 1
    assert done.stderr.startswith("error: missing setting base_url")
    assert "SOURCES__PIPEDRIVE_LEADS__API_TOKEN" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [[], ["a.b", "--limit", "x"], ["a.b", "--limits", "5"]])
def test_wrong_usage_of_a_script_has_the_exit_code_of_the_command(arguments: list[str]) -> None:
    call = [sys.executable, "-m", "pipelines.backfill_leads", *arguments]
    done = run_to_end(call, os.environ, forked=True)
    assert (done.code, done.stdout) == (1, "")
    assert "backfill_leads.py: error: " in done.stderr
