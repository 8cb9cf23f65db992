"""The protocol in small, exhaustively: every interleaving up to a depth keeps the invariants."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from typing import Any

import pytest

from connector.sync.turn import Turn
from tests.support import protocol
from tests.support.protocol import Protocol, Rules, State, Step, Violation

DEPTH = int(os.environ.get("LEAD_SYNC_DEPTH", "10"))
TROUBLES = int(os.environ.get("LEAD_SYNC_TROUBLES", "2"))
Parents = dict[State, tuple[State, str] | None]


@dataclass(frozen=True)
class Seen:
    """What an exploration has come to."""

    states: int
    steps: int
    longest: int


def explore(rules: Rules, *, depth: int | None = None, troubles: int | None = None) -> Seen:
    """Take every step from every state, as far as a bound allows.

    Args:
        rules: What is the same in all states.
        depth: How many single steps there are at most from the beginning.
        troubles: How many of them are troubles at most.
    """
    protocol, first = Protocol(rules), State()
    parents: Parents = {first: None}
    lengths = {first: 0}
    bound = depth if depth is not None else troubles or 0
    waiting: list[list[tuple[State, int]]] = [[] for _ in range(bound + 1)]
    waiting[0].append((first, 0))
    steps = 0
    for spent, level in enumerate(waiting):
        while level:
            state, length = level.pop()
            if depth is not None and spent == bound:
                continue
            for step in _steps(protocol, state, parents):
                steps += 1
                cost = spent + (step.length if depth is not None else step.troubles)
                if cost <= bound and step.after not in parents:
                    parents[step.after] = (state, step.label)
                    lengths[step.after] = length + step.length
                    waiting[cost].append((step.after, lengths[step.after]))
    return Seen(len(parents), steps, max(lengths.values()))


def _steps(protocol: Protocol, state: State, parents: Parents) -> list[Step]:
    try:
        return list(protocol.steps(state))
    except Violation as wrong:
        lines = [f"{wrong}, after"]
        at: State = state
        while (step := parents[at]) is not None:
            at, label = step
            lines.insert(1, f"  {label}")
        raise AssertionError("\n".join(lines)) from None


def told(rules: Rules, bound: str, seen: Seen, capsys: pytest.CaptureFixture[str]) -> None:
    """Print what was seen."""
    names = [*(rules.policies or (rules.on_conflict,)), *["late"] * rules.late]
    names += [f"{rules.machines} machines that sleep"] * rules.sleeps
    with capsys.disabled():
        print(
            f"\nprotocol, {', '.join(names)}, {bound}: "
            f"{seen.states} states, {seen.steps} steps, the longest way has {seen.longest}"
        )


def test_every_interleaving_up_to_a_depth(capsys: pytest.CaptureFixture[str]) -> None:
    rules = Rules(commands=2)
    seen = explore(rules, depth=DEPTH)
    told(rules, f"depth {DEPTH}", seen, capsys)
    assert seen.longest == DEPTH
    assert seen.states > 100_000 or DEPTH < 10


@pytest.mark.parametrize(
    "rules",
    [
        Rules(commands=3),
        Rules("crm", commands=3),
        Rules("fail", commands=2),
        Rules(commands=2, attempts=3),
        Rules(commands=2, late=True),
        Rules(commands=2, policies=("warehouse", "crm")),
        Rules(commands=3, machines=2, sleeps=True),
    ],
    ids=str,
)
def test_every_way_of_three_commands_with_a_few_troubles(
    rules: Rules, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "connector.sync.turn")
    seen = explore(rules, troubles=TROUBLES)
    told(rules, f"{TROUBLES} troubles", seen, capsys)
    assert seen.longest > 10


def follow(rules: Rules, labels: list[str]) -> State:
    """Take the steps with these labels, one after the other."""
    protocol, state = Protocol(rules), State()
    for label in labels:
        [state] = [step.after for step in protocol.steps(state) if step.label == label]
    return state


BEGIN = "begins run; reads; loads; begins to send"
TOOK = '["title","channel_id"]'
SEND = "sends title B, channel_id B"


def test_a_change_that_is_in_effect_and_recorded() -> None:
    state = follow(Rules(), [f"machine 0 {BEGIN}", f"{SEND}, done; ends"])
    assert state.lead == ("B", "B")
    assert [row.took for row in state.tables.outcomes] == [TOOK]
    assert state.job is None


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"issued": frozenset()}, "never sent"),
        ({"effects": frozenset()}, "never took effect"),
    ],
)
def test_the_invariants_can_fail(wrong: dict[str, Any], what: str) -> None:
    state = follow(Rules(), [f"machine 0 {BEGIN}", f"{SEND}, killed, in effect"])
    truth = state.truth._replace(offered=frozenset(), **wrong)
    with pytest.raises(Violation, match=what):
        list(Protocol(Rules()).steps(state._replace(truth=truth)))


def test_an_outcome_that_was_left_in_a_folder_hides_no_later_send() -> None:
    """A machine is killed while it loads an outcome, and another one sends what that left."""
    rules = Rules(machines=2)
    labels = [
        f"machine 0 {BEGIN}",
        f"{SEND}, taken in part; killed in a load",
        "machine 1 begins run; reads; begins to send",
        "sends channel_id B, killed, in effect",
    ]
    state = follow(rules, labels)
    list(Protocol(rules).steps(state))


ASLEEP = ["machine 0 begins run; reads; loads; begins to send", "falls asleep"]
TAKEN_OVER = [*ASLEEP, "machine 1 begins run; reads; begins to send", f"{SEND}, done; ends"]


def test_a_machine_that_wakes_up_sends_nothing_and_records_nothing_over_another() -> None:
    rules = Rules(machines=2, sleeps=True)
    taken = follow(rules, TAKEN_OVER)
    assert taken.asleep is not None
    woken = follow(rules, [*TAKEN_OVER, "wakes up, and its turn is lost"])
    assert (woken.tables, woken.lead, woken.asleep) == (taken.tables, taken.lead, None)
    assert [(row.run_id, row.took) for row in woken.tables.outcomes] == [("r2", TOOK)]


def test_a_machine_that_wakes_up_before_anybody_came_records_what_it_did() -> None:
    woken = follow(Rules(machines=2, sleeps=True), [*ASLEEP, "wakes up, and ends"])
    assert [(row.run_id, row.took) for row in woken.tables.outcomes] == [("r1", "[]")]
    assert woken.lead == ("A", None)


def test_only_another_machine_takes_over_from_one_that_sleeps() -> None:
    rules = Rules(machines=2, sleeps=True)
    begun = {step.label for step in Protocol(rules).steps(follow(rules, ASLEEP))}
    begun = {label for label in begun if "begins" in label}
    assert begun
    assert all(label.startswith("machine 1") for label in begun)


def test_a_turn_that_is_taken_for_endless_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = Rules(machines=2, sleeps=True)
    state = follow(rules, TAKEN_OVER)
    monkeypatch.setattr(Turn, "may_send", lambda _: True)
    with pytest.raises(Violation, match="when its turn is over"):
        list(Protocol(rules).steps(state))


def test_a_leftover_that_goes_out_without_the_look_of_now_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rules = Rules(policies=("warehouse", "crm"))
    labels = [
        "machine 0 begins run under warehouse; reads; loads; killed before it sends",
        "machine 0 begins run under crm; reads; begins to send",
    ]
    list(Protocol(rules).steps(follow(rules, labels)))
    monkeypatch.setattr(protocol, "as_wanted", lambda *_, **__: lambda _found, rest: rest)
    with pytest.raises(Violation, match="without a look"):
        list(Protocol(rules).steps(follow(rules, labels)))
