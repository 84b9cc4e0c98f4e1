"""Histories with months that loads must hold, one of each kind, on all engines side by side.

After every load, the driver compares each warehouse with its expected content. Random histories do not belong here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scx_pipeline_tests.purity.log_driver import Driver, tolerant_star
from scx_pipeline_tests.purity.log_history import (
    CONCATENATED_NAME,
    BrokenLoad,
    Damage,
    Delete,
    Entry,
    Load,
    Put,
    Settle,
)
from scx_pipeline_tests.support.load_env import STAGING, LoadEnv

pytestmark = [pytest.mark.redshift, pytest.mark.histories]

JAN, FEB, MAR = ("2021-01", "2021-02", "2021-03")
OF_JAN, OF_FEB, OF_MAR = ("2021/01/a.csv", "2021/02/a.csv", "2021/03/a.csv")
ALL, ONLY_FEB, ONLY_MAR = Load(0, 2), Load(1, 1), Load(2, 2)
ONE, TWO, THREE, FOUR = (Entry(number, user=number) for number in range(1, 5))
START = (Put(OF_JAN, (ONE, TWO)), Put(OF_FEB, (ONE, TWO)), Put(OF_MAR, (ONE, TWO)), ALL)
REFUSED = Entry(1, user=5, flaw="no such plan")
OF_THE_NEXT_MONTH = Entry(2, user=6, stray=True)  # has the key of the next month's second job


@pytest.fixture
def driver(fresh_load_urls: Callable[[Path], list[tuple[str, str]]], tmp_path: Path) -> Driver:
    load_envs = [LoadEnv(*load_urls, tolerant_star()) for load_urls in fresh_load_urls(tmp_path)]
    return Driver(tmp_path, load_envs)


def published(driver: Driver) -> dict[str, int]:
    """Return the number of staged rows of each month that has some, which is the same in all warehouses."""
    counts = [
        {month: rows for table, month, rows, _ in content.snapshot["month_rows"] if table == STAGING and rows}
        for content in driver.contents
    ]
    assert counts == counts[:1] * len(counts)
    return counts[0]


def test_a_month_that_violates_a_check_keeps_its_rows_until_its_file_is_corrected(driver: Driver) -> None:
    driver.run(*START, Put(OF_JAN, (ONE, TWO, THREE)), Put(OF_FEB, (REFUSED, TWO, THREE, FOUR)), ALL)
    assert driver.held() == [FEB]
    assert published(driver) == {JAN: 3, FEB: 2, MAR: 2}
    driver.run(Put(OF_FEB, (ONE, TWO, THREE, FOUR)), Settle())
    assert driver.held() == []
    assert published(driver) == {JAN: 3, FEB: 4, MAR: 2}


@pytest.mark.parametrize("damage", ["wrong header", "not compressed"])
def test_an_unreadable_file_holds_both_months_that_it_may_contain(driver: Driver, damage: Damage) -> None:
    broken = Put("2021/02/b.csv.gz", (THREE,), damage=damage)
    driver.run(*START, broken, Put(OF_JAN, (ONE,)), Put(OF_MAR, (ONE,)), ALL)
    assert driver.held() == [JAN, FEB]
    assert published(driver) == {JAN: 2, FEB: 2, MAR: 1}
    driver.run(Delete(broken.name), Settle())
    assert driver.held() == []
    assert published(driver) == {JAN: 1, FEB: 2, MAR: 1}


def test_a_month_is_held_above_the_reject_limit_and_published_at_it(driver: Driver) -> None:
    driver.run(*START, Put(OF_FEB, (ONE, TWO), bad_rows=4), ALL)
    assert driver.held() == []
    driver.run(Put(OF_FEB, (ONE, TWO), bad_rows=5), ALL)
    assert driver.held() == [JAN, FEB]
    # The file of March may have rows of February, so its rows count towards February's share.
    driver.run(Put(OF_MAR, (ONE, TWO, THREE)), ALL)
    assert driver.held() == [JAN]
    driver.run(Put(OF_JAN, (ONE, TWO, THREE)), Settle())
    assert driver.held() == []


def test_months_that_share_a_key_are_held_until_one_of_them_changes(driver: Driver) -> None:
    driver.run(*START, Put(OF_JAN, (ONE,)), Put(OF_FEB, (ONE, OF_THE_NEXT_MONTH)), Put(OF_MAR, (TWO,)), ALL)
    assert driver.held() == [FEB, MAR]
    assert published(driver) == {JAN: 1, FEB: 2, MAR: 2}
    driver.run(ONLY_FEB, ONLY_MAR)
    assert driver.held() == [FEB, MAR]
    assert published(driver) == {JAN: 1, FEB: 2, MAR: 2}
    driver.run(Put(OF_FEB, (ONE,)), ONLY_MAR, ONLY_FEB)
    assert driver.held() == []
    assert published(driver) == {JAN: 1, FEB: 1, MAR: 1}


@pytest.mark.parametrize(("first", "second", "held"), [(ONLY_FEB, ONLY_MAR, MAR), (ONLY_MAR, ONLY_FEB, FEB)])
def test_of_two_months_that_share_a_key_the_one_that_is_loaded_last_is_held(
    driver: Driver, first: Load, second: Load, held: str
) -> None:
    driver.run(Put(OF_FEB, (ONE, OF_THE_NEXT_MONTH)), Put(OF_MAR, (ONE, TWO)), first, second)
    assert driver.held() == [held]
    driver.run(Put(OF_FEB, (ONE,)), Settle())
    assert driver.held() == []
    assert published(driver) == {FEB: 1, MAR: 2}


def test_an_interrupted_load_that_holds_a_month_changes_nothing_or_publishes_the_others(
    driver: Driver,
) -> None:
    driver.run(*START, Put(OF_FEB, (REFUSED, TWO)), Put(OF_MAR, (ONE, TWO, THREE)))
    for statements in (5, 45, 85):
        driver.run(BrokenLoad(ALL, statements, by_database=statements == 45))
    driver.run(ALL)
    assert driver.held() == [FEB]
    assert published(driver) == {JAN: 2, FEB: 2, MAR: 3}


def test_a_held_month_whose_file_is_as_before_or_deleted_is_not_held_any_more(driver: Driver) -> None:
    driver.run(*START, Put(OF_FEB, (THREE,), damage="wrong header"), ALL)
    assert driver.held() == [JAN, FEB]
    driver.run(START[1])
    assert not {JAN, FEB} & set(driver.load_envs[0].changed())
    driver.run(Put(OF_FEB, (REFUSED,)), ALL, Delete(OF_FEB), Settle())
    assert driver.held() == []
    assert published(driver) == {JAN: 2, MAR: 2}


def test_an_unreadable_file_that_may_contain_any_month_holds_all(driver: Driver) -> None:
    driver.run(*START, Put(OF_FEB, (ONE,)), Put(CONCATENATED_NAME, (THREE,), damage="wrong header"), ALL)
    assert driver.held() == [JAN, FEB, MAR]
    assert published(driver) == {JAN: 2, FEB: 2, MAR: 2}
    driver.run(Put(CONCATENATED_NAME, (THREE,)), ALL)
    assert driver.held() == []
    assert published(driver) == {JAN: 3, FEB: 1, MAR: 2}


def test_a_refused_row_in_an_added_file_holds_the_month_and_other_additions_are_published(
    driver: Driver,
) -> None:
    added = Put("2021/03/b.csv", (THREE,)), Put("2021/01/b.csv", (replace(REFUSED, number=3),))
    driver.run(*START, *added, ALL)
    assert driver.held() == [JAN]
    assert published(driver) == {JAN: 2, FEB: 2, MAR: 3}
    driver.run(Put("2021/01/b.csv", (THREE,)), Put("2021/02/b.csv", (THREE, OF_THE_NEXT_MONTH)), ALL)
    assert driver.held() == [
        FEB
    ]  # March is held, too, but not due: its objects are those that it was built from
    assert published(driver) == {JAN: 3, FEB: 2, MAR: 3}
