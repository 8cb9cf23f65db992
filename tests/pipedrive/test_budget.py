"""Tokens of the day and of the run: nothing is sent that could be known to meet a 429."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from connector.pipedrive.budget import Budget, SetAside
from connector.pipedrive.errors import BudgetSpent, Interrupted, OwnBudgetSpent

DAY = "x-daily-ratelimit-token-remaining"
REQUESTS = "x-daily-requests-left"
COST = 10
READ = 2
NOT_STOPPED = threading.Event()


def told(left: object, name: str = DAY) -> Mapping[str, str]:
    return {name: str(left)}


def budget_of(left: object, name: str = DAY, **given: int) -> Budget:
    """A budget of which one answer has told what is left."""
    budget = Budget(**given)
    call = budget.take(COST, NOT_STOPPED)
    budget.settle(call, COST, told(left, name), charged=True)
    return budget


def stopped() -> threading.Event:
    stop = threading.Event()
    stop.set()
    return stop


def test_until_an_answer_tells_nothing_is_known() -> None:
    budget = Budget()
    for _ in range(100):
        budget.take(COST, NOT_STOPPED)
    assert budget.day_left is None


@pytest.mark.parametrize(("name", "left"), [(DAY, 0), (DAY, 9), (REQUESTS, 0)])
def test_a_spent_day_is_known_before_the_next_call(name: str, left: int) -> None:
    with pytest.raises(BudgetSpent, match="the day's token budget is used up"):
        budget_of(left, name).take(COST, NOT_STOPPED)


@pytest.mark.parametrize(("name", "left"), [(DAY, 30), (REQUESTS, 3)])
def test_what_is_in_flight_counts(name: str, left: int) -> None:
    budget = budget_of(left, name)
    for _ in range(3):
        budget.take(COST, NOT_STOPPED)
    with pytest.raises(Interrupted):  # it would wait for the answers
        budget.take(COST, stopped())


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({}, 500),
        ({"reserve": 200}, 300),
        ({"reserve": 600}, 0),
        ({"tokens": 110, "reserve": 20}, 100),
    ],
    ids=str,
)
def test_what_may_be_spent_is_the_least_of_all(given: dict[str, int], left: int) -> None:
    assert Budget().left is None
    assert budget_of(500, DAY, **given).left == left


def test_a_reserve_is_left_to_others() -> None:
    budget = budget_of(120, reserve=100)
    budget.take(COST, NOT_STOPPED)
    budget.take(COST, NOT_STOPPED)
    with pytest.raises(Interrupted):
        budget.take(COST, stopped())
    with pytest.raises(BudgetSpent, match="token_reserve of 100"):
        budget_of(109, reserve=100).take(COST, NOT_STOPPED)


def test_answers_that_cross_do_not_add_tokens() -> None:
    budget = budget_of(100)
    first, second = (budget.take(COST, NOT_STOPPED) for _ in range(2))
    budget.settle(second, COST, told(80), charged=True)
    budget.settle(first, COST, told(90), charged=True)
    assert budget.day_left == 80


def test_an_answer_without_the_header_counts_what_it_cost() -> None:
    budget = budget_of(100)
    for charged in (True, False):
        budget.settle(budget.take(COST, NOT_STOPPED), COST, {}, charged=charged)
    assert budget.day_left == 90


def test_others_spend_as_well() -> None:
    budget = budget_of(100)
    budget.settle(budget.take(COST, NOT_STOPPED), COST, told(5), charged=True)
    with pytest.raises(BudgetSpent):
        budget.take(COST, NOT_STOPPED)


def test_a_call_that_is_sent_later_tells_of_a_new_day() -> None:
    budget = budget_of(100)
    budget.settle(budget.take(COST, NOT_STOPPED), COST, told(30_000), charged=True)
    assert budget.day_left == 30_000


@pytest.mark.parametrize("odd", ["-1", "nan", "inf", "many", "", "1e308", "1e309"])
def test_a_header_that_makes_no_sense_tells_nothing(odd: str) -> None:
    assert budget_of(odd).day_left is None
    assert budget_of(odd, REQUESTS).day_left is None


WHOLE_DAY = "x-daily-ratelimit-token-limit"


def test_the_whole_days_tokens_are_known_once_an_answer_tells() -> None:
    assert Budget().day is None
    assert budget_of(30).day is None
    assert budget_of(60_000, WHOLE_DAY).day == 60_000
    for odd in ("-1", "nan", "1e300", "", "many"):
        assert budget_of(odd, WHOLE_DAY).day is None
    budget = budget_of(60_000, WHOLE_DAY)
    budget.settle(budget.take(COST, NOT_STOPPED), COST, {}, charged=True)
    assert budget.day == 60_000


def test_a_huge_number_is_no_limit() -> None:
    budget_of("9" * 300).take(COST, NOT_STOPPED)


def test_many_threads_spend_the_day_to_its_end_and_no_further() -> None:
    """The server charges at some time between sending and answering, in any order."""
    budget, server, left = budget_of(200), threading.Lock(), [200]
    sent: list[int] = []

    def call() -> None:
        number = budget.take(COST, NOT_STOPPED)
        with server:
            left[0] -= COST
            answer = told(left[0])
            sent.append(left[0])
        budget.settle(number, COST, answer, charged=True)

    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(call) for _ in range(40)]
    spent = [one for one in calls if isinstance(one.exception(), BudgetSpent)]
    assert (len(sent), min(sent), len(spent)) == (20, 0, 20)


def test_a_wait_ends_when_an_answer_frees_tokens() -> None:
    budget = budget_of(10)
    under_way = budget.take(COST, NOT_STOPPED)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(budget.take, COST, NOT_STOPPED)
        budget.settle(under_way, COST, {}, charged=False)
        assert waiting.result(20) > under_way


def test_a_runs_own_budget_gets_back_what_was_not_charged() -> None:
    budget = Budget(tokens=COST)
    call = budget.take(COST, NOT_STOPPED)
    with pytest.raises(Interrupted):  # it would wait for the answer
        budget.take(COST, stopped())
    budget.settle(call, COST, {}, charged=False)
    again = budget.take(COST, NOT_STOPPED)
    budget.settle(again, COST, {}, charged=True)
    with pytest.raises(BudgetSpent, match="token_budget"):
        budget.take(COST, NOT_STOPPED)


def test_what_was_spent_before_is_gone() -> None:
    budget = Budget(tokens=3 * COST, spent=2 * COST)
    assert budget.own_left == COST
    budget.settle(budget.take(COST, NOT_STOPPED), COST, {}, charged=True)
    with pytest.raises(OwnBudgetSpent, match=f"0 left, and a call costs {COST}"):
        budget.take(COST, NOT_STOPPED)


def test_a_budget_that_was_overspent_before_is_no_limitless_one() -> None:
    budget = Budget(tokens=COST, spent=2 * COST)
    assert budget.own_left == 0
    with pytest.raises(OwnBudgetSpent):
        budget.take(1, NOT_STOPPED)


BOUNDS = ("own", "day", "reserve")


def bounded(by: str, left: int) -> Budget:
    """A budget of which so many tokens are left, for one reason or another."""
    if by == "own":
        return Budget(tokens=left)
    reserve = 100 if by == "reserve" else 0
    return budget_of(left + reserve, reserve=reserve)


def read(budget: Budget, aside: SetAside) -> None:
    """One read that keeps the tokens of its PATCH."""
    budget.settle(budget.take(READ, NOT_STOPPED, aside, COST), READ, {}, charged=True)


@pytest.mark.parametrize("by", BOUNDS)
def test_a_read_is_not_made_where_its_patch_could_not_follow(by: str) -> None:
    budget = bounded(by, READ + COST - 1)
    told = "token_reserve" if by == "reserve" else "11 left, and a read and its PATCH cost 12"
    with budget.setting_aside() as aside, pytest.raises(BudgetSpent, match=told):
        budget.take(READ, NOT_STOPPED, aside, COST)
    assert aside.tokens == 0
    assert budget.take(COST, NOT_STOPPED), "nothing was taken"


@pytest.mark.parametrize("by", BOUNDS)
@pytest.mark.parametrize("ahead", [0, COST])
def test_what_is_set_aside_is_for_its_patch_alone(by: str, ahead: int) -> None:
    budget = bounded(by, READ + COST + 1)
    with budget.setting_aside() as aside:
        read(budget, aside)
        with pytest.raises(Interrupted), budget.setting_aside() as other:  # it would wait
            budget.take(READ, stopped(), other, ahead)
        budget.settle(budget.take(COST, stopped(), aside), COST, {}, charged=True)
        assert aside.tokens == 0
    assert budget.left == 1


@pytest.mark.parametrize("by", BOUNDS)
def test_what_is_set_aside_and_not_needed_is_free_again(by: str) -> None:
    budget = bounded(by, READ + COST)
    with ThreadPoolExecutor(1) as pool:
        with budget.setting_aside() as aside:
            read(budget, aside)
            waiting = pool.submit(budget.take, COST, NOT_STOPPED)
        assert waiting.result(20)


def test_two_that_have_tokens_set_aside_do_not_wait_for_each_other() -> None:
    """Another program has spent what both had: one goes out, and the other one is told."""
    budget = budget_of(2 * (READ + COST))
    with budget.setting_aside() as first, budget.setting_aside() as second:
        for aside in (first, second):
            read(budget, aside)
        budget.settle(budget.take(0, NOT_STOPPED), 0, told(COST + 5), charged=True)
        call = budget.take(COST, stopped(), first)
        with pytest.raises(Interrupted):  # it would wait for the answer
            budget.take(COST, stopped(), second)
        budget.settle(call, COST, {}, charged=True)
        with pytest.raises(BudgetSpent, match="5 left, and a call costs 10"):
            budget.take(COST, NOT_STOPPED, second)
    assert budget.take(5, NOT_STOPPED), "nothing is set aside any more"


def test_the_end_of_the_budget_waits_for_all_that_have_their_tokens() -> None:
    """Who is told of it stops the run, which would cut off what is on its way."""
    budget = Budget(tokens=READ + COST + 1)
    with budget.setting_aside() as aside:
        read(budget, aside)
        with pytest.raises(Interrupted):
            budget.take(READ + COST, stopped())
        call = budget.take(COST, NOT_STOPPED, aside)
        with pytest.raises(Interrupted):
            budget.take(READ + COST, stopped())
        budget.settle(call, COST, {}, charged=True)
    with pytest.raises(OwnBudgetSpent):
        budget.take(READ + COST, NOT_STOPPED)


@pytest.mark.parametrize("by", BOUNDS)
def test_many_threads_that_read_first_spend_no_read_in_vain(by: str) -> None:
    """Some reads show that nothing is to be sent, some fail, some PATCHes need none."""
    chance, counting = random.Random(7), threading.Lock()
    kinds = [chance.choice(("read", "vain", "plain")) for _ in range(200)]
    budget, left, spent = bounded(by, 400), [400], dict.fromkeys(kinds, 0)

    def call(cost: int, aside: SetAside | None, ahead: int = 0) -> None:
        number = budget.take(cost, NOT_STOPPED, aside, ahead)
        time.sleep(0.001)
        with counting:
            left[0] -= cost
        budget.settle(number, cost, {}, charged=True)

    def send(kind: str) -> None:
        with budget.setting_aside() as aside:
            if kind != "plain":
                call(READ, aside, COST)
            if kind != "vain":
                call(COST, aside)
        with counting:
            spent[kind] += 1

    with ThreadPoolExecutor(20) as pool:
        sent = [pool.submit(send, kind) for kind in kinds]
    told = [error for one in sent if (error := one.exception())]
    assert {type(error) for error in told} <= {BudgetSpent, OwnBudgetSpent}
    assert left[0] == 400 - 12 * spent["read"] - 2 * spent["vain"] - 10 * spent["plain"]
    assert 0 <= left[0] < READ + COST, "what is left lasts for no read with its PATCH"
    assert budget.left == left[0]
