"""How far a run is, while it runs: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Column

from connector.report.runs import details, standing_told
from connector.report.screen import console, is_narrow
from connector.sync.session import Watcher
from connector.sync.stopping import Asked
from connector.warehouse.standing import Standing

log = logging.getLogger("connector.progress")
EVERY_SECONDS = 10.0
"""Where there is no terminal, a line comes so often."""
WAITS_FOR = {
    "refresh": "the leads that are on their way",
    "apply": "the PATCHes that are on their way, and writes down what came of them",
}
"""What a run that was asked to stop still waits for, by its step."""


class Lines(Watcher):
    """Keeps what a run has said last, for whoever asks."""

    def __init__(self) -> None:
        self.last: Standing | None = None

    def watch(self, standing: Standing) -> None:
        """Takes how far the run is."""
        self.last = standing


class Bars(Lines):
    """Draws a bar for each step of a run."""

    def __init__(self, bars: Progress) -> None:
        super().__init__()
        self._bars = bars
        self._is_narrow = is_narrow(bars.console)
        self._tasks: dict[str, TaskID] = {}
        self._lock = threading.Lock()

    def watch(self, standing: Standing) -> None:
        """Moves the bar of the step."""
        super().watch(standing)
        with self._lock:
            if standing.step not in self._tasks:
                self.fill()
                added = self._bars.add_task(standing.step, total=None, detail="")
                self._tasks[standing.step] = added
        self._bars.update(
            self._tasks[standing.step],
            completed=standing.done,
            total=standing.total,
            detail=", ".join(details(standing, with_rate=not self._is_narrow)),
        )

    def fill(self) -> None:
        """Fills the bars of steps of which nobody knew how long they are."""
        for task in self._bars.tasks:
            if task.total is None:
                self._bars.update(task.id, total=task.completed)


def _columns(screen: Console) -> tuple[TextColumn | BarColumn | MofNCompleteColumn, ...]:
    detail = Column(no_wrap=True, overflow="ellipsis", ratio=1)
    told = TextColumn("{task.fields[detail]}", table_column=detail, markup=False)
    bar = BarColumn(10 if is_narrow(screen) else 20)
    return TextColumn("{task.description}"), bar, MofNCompleteColumn(), told


@contextmanager
def show_progress(stop: Asked | None = None) -> Iterator[Lines]:
    """Yields what a run tells its progress to; it says as well what a stopped run waits for.

    Args:
        stop: What ends the run.
    """
    screen, ended = console(stderr=True), threading.Event()
    if not screen.is_terminal:
        lines = Lines()
        telling = _beside(lambda: _tell_now_and_then(lines, ended), ended)
        with telling, _announcing(lines, stop, ended):
            yield lines
        return
    columns = _columns(screen)
    with Progress(*columns, console=screen, expand=True, redirect_stdout=False) as bars:
        watcher = Bars(bars)
        with _announcing(watcher, stop, ended):
            yield watcher
        watcher.fill()


@contextmanager
def _announcing(lines: Lines, stop: Asked | None, ended: threading.Event) -> Iterator[None]:
    """Says at once what a run that was asked to stop waits for."""

    def wait() -> None:
        while stop is not None and not ended.is_set():
            if stop.wait(0.1):
                step = lines.last.step if lines.last else ""
                what = WAITS_FOR.get(step, "the end of what it does just now")
                log.warning(
                    "%s: waits for %s; a second one ends it at once, and the next run settles "
                    "what it leaves",
                    stop.why or "asked to stop",
                    what,
                )
                return

    with _beside(wait, ended):
        yield


@contextmanager
def _beside(work: Callable[[], None], ended: threading.Event) -> Iterator[None]:
    """Does something in a thread until the block ends."""
    thread = threading.Thread(target=work, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _tell_now_and_then(lines: Lines, ended: threading.Event) -> None:
    while not ended.wait(EVERY_SECONDS):
        if lines.last is not None:
            log.info("%s", standing_told(lines.last))
