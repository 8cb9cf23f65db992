"""A sandbox in a process of its own, and the hand on its control door."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import requests

DEFAULT_TOKEN: Final = "sandbox-token"  # noqa: S105
_START_SECONDS: Final = 9.0
_SEEDED_A_SECOND: Final = 5_000
_READ_A_SECOND: Final = 2_000_000
_STOP_SECONDS: Final = 5.0
_ANNOUNCEMENT: Final = "listening on "
_ROOT: Final = Path(__file__).parents[2]


class LocalPipedrive:
    """A local Pipedrive that runs from `with` to the end of its block.

    Everything the methods do goes through the control door: it costs no tokens, meets no limit
    and is not in the log. An unknown lead is a KeyError, anything else refused a ValueError.

    Attributes:
        base_url: Where it listens, once started.
        api_token: The token it accepts.
    """

    def __init__(
        self,
        *,
        leads: int = 40,
        seed: int = 1,
        port: int = 0,
        token: str = DEFAULT_TOKEN,
        world: Path | None = None,
        **settings: object,
    ) -> None:
        """Prepare a sandbox.

        Args:
            leads: How many leads to seed.
            seed: What they are seeded from.
            port: Where it listens; 0 takes a free port.
            token: The token it accepts.
            world: A file with another company and its leads; see `connector.sandbox.company`.
            settings: Names and values of `connector.sandbox.settings.Settings`.
        """
        self.base_url = ""
        self.api_token = token
        size = world.stat().st_size if world else 0
        self._patience = _START_SECONDS + leads / _SEEDED_A_SECOND + size / _READ_A_SECOND
        self._arguments = [
            *("--port", str(port), "--leads", str(leads), "--seed", str(seed)),
            *("--token", token, "--settings", json.dumps(settings), "--with-parent"),
            *(("--world", str(world)) if world else ()),
        ]
        self._errors: IO[bytes] | None = None
        self._process: subprocess.Popen[str] | None = None
        self._session = requests.Session()
        # Proxy settings in the environment are not for loopback.
        self._session.trust_env = False

    def __enter__(self) -> Self:
        """Start the sandbox and wait until it answers.

        Raises:
            RuntimeError: It ended, or did not answer in time; with what it had to say.
        """
        self._errors = tempfile.TemporaryFile()
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "connector.sandbox", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,  # Ctrl-C is for whoever uses it, and ends it in the end
            env={**os.environ, "PYTHONPATH": _python_path()},
        )
        try:
            self.base_url = self._announced(self._process)
            self._call("GET", "settings")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the sandbox."""
        self._session.close()
        if self._process is not None:
            _stop(self._process)
        if self._errors is not None:
            self._errors.close()

    def requests(self, method: str | None = None) -> list[dict[str, Any]]:
        """Return the API requests so far, oldest first, of one method or all."""
        log: list[dict[str, Any]] = self._call("GET", "requests")
        return [entry for entry in log if method in (None, entry["method"])]

    def clear_requests(self) -> None:
        """Forget the API requests so far."""
        self._call("DELETE", "requests")

    def leads(self) -> dict[str, dict[str, Any]]:
        """Return every lead by id, archived ones too, oldest first."""
        return {lead["id"]: lead for lead in self._call("GET", "leads")}

    def lead(self, lead_id: str) -> dict[str, Any]:
        """Return one lead as it is stored, archived or not."""
        return self._lead_call("GET", lead_id)

    def set_lead(self, lead_id: str, **fields: object) -> dict[str, Any]:
        """Set fields without validation, as a colleague's edit; create the lead if missing."""
        return self._lead_call("PUT", lead_id, fields)

    def delete_lead(self, lead_id: str) -> None:
        """Delete a lead, as a colleague who deletes or converts it."""
        self._call("DELETE", f"leads/{lead_id}")

    def archive_lead(self, lead_id: str) -> None:
        """Archive a lead, as a colleague would."""
        self._call("POST", f"leads/{lead_id}/archive")

    def settings(self, **settings: object) -> None:
        """Change some settings; a changed plan or budget starts the daily budget anew."""
        self._call("PUT", "settings", settings)

    def fault(
        self,
        kind: str,
        *,
        lead_id: str | None = None,
        method: str | None = None,
        route: str | None = None,
        times: int = 1,
        **options: object,
    ) -> None:
        """Queue a fault for the next requests that fit.

        Args:
            kind: One of `faults.OPTIONS`.
            lead_id: Hits this lead alone.
            method: Hits this method alone.
            route: Hits this call alone, as `leadFields` or `leads/{id}`.
            times: How many requests it hits.
            options: What the kind takes, as `faults.OPTIONS` names it.
        """
        fault = {"kind": kind, "lead_id": lead_id, "method": method, "times": times}
        fault["route"] = route
        self._call("POST", "faults", {**fault, **options})

    def clear_faults(self) -> None:
        """Drop the faults that have not happened."""
        self._call("DELETE", "faults")

    def reset(self, *, leads: int = 40, seed: int = 1, **settings: object) -> None:
        """Start over: seeded leads, the settings it was started with and these, empty log."""
        self._call("POST", "reset", {"leads": leads, "seed": seed, "settings": settings})

    def _lead_call(self, method: str, lead_id: str, body: object = None) -> dict[str, Any]:
        lead: dict[str, Any] = self._call(method, f"leads/{lead_id}", body)
        return lead

    def _call(self, method: str, path: str, body: object = None) -> Any:
        url = f"{self.base_url}/_sandbox/{path}"
        answer = self._session.request(method, url, json=body, timeout=30)
        if answer.status_code == 404:
            raise KeyError(f"{path}: {answer.text}")
        if not answer.ok:
            raise ValueError(f"{path}: {answer.text}")
        return answer.json()

    def _announced(self, process: subprocess.Popen[str]) -> str:
        line = _first_line(process, self._patience)
        if not line.startswith(_ANNOUNCEMENT):
            raise RuntimeError(f"the sandbox did not start: {self._said() or 'no answer in time'}")
        return line.removeprefix(_ANNOUNCEMENT).strip()

    def _said(self) -> str:
        if self._errors is None:
            return ""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace").strip()


def _python_path() -> str:
    return os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))


def _first_line(process: subprocess.Popen[str], seconds: float) -> str:
    lines: list[str] = []

    def read() -> None:
        if process.stdout is not None:
            lines.append(process.stdout.readline())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(seconds)
    return lines[0] if lines else ""


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
