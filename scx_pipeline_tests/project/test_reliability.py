"""docs/reliability.md names every case and all 83 faults, with tests that are there."""

from __future__ import annotations

import re

from scx_pipeline_tests.fuzz.seeds import SEEDS
from scx_pipeline_tests.fuzz.test_fuzz import CASE_FACTORIES
from tools import reliability
from tools.docs import PAGES
from tools.reliability import all_tests, data, entries

FAULTS = 83


def test_every_fault_of_the_catalogue_has_an_entry_in_its_order() -> None:
    assert [entry.number for entry in entries("faults")] == list(range(1, FAULTS + 1))


def test_every_entry_has_existing_tests_unless_some_may_be_missing() -> None:
    missing = {
        f"{entry.number or ''} {entry.what}": entry.missing
        for part in ("cases", "faults")
        for entry in entries(part)
        if entry.missing
    }
    assert not missing or reliability.MISSING_ALLOWED, missing


def test_missing_tests_are_shown() -> None:
    entry = reliability.Entry(
        "g",
        1,
        "w",
        "o",
        ("project/test_reliability.py::test_missing_tests_are_shown", "unit/none.py::test_x"),
    )
    assert entry.missing == ["unit/none.py::test_x"]
    assert reliability.Entry("g", 1, "w", "o", ()).missing == ["no test"]
    assert reliability._row(entry)[3] == f"`{entry.tests[0]}`<br>{reliability.TO_COME}"


def test_no_entry_is_listed_twice() -> None:
    for part in ("cases", "faults"):
        found = [(entry.group, entry.what) for entry in entries(part)]
        assert len(set(found)) == len(found)


def test_engines_are_read_from_the_fixtures() -> None:
    engines = all_tests()
    assert engines[
        "loading/checks/test_blocking_checks.py::test_a_violated_check_prevents_publishing_the_month"
    ] == (
        "DuckDB",
        "PostgreSQL",
        "Redshift",
    )
    assert engines["loading/bad_input/test_bad_warehouses.py::test_a_read_only_database_is_named"] == (
        "PostgreSQL",
    )
    assert engines["parsing/test_value_rules.py::test_names_and_texts_are_quoted"] == ("DuckDB",)


def test_every_seed_has_a_format_that_is_tested_and_shown() -> None:
    page = PAGES["reliability.md"]()
    assert SEEDS.keys() <= CASE_FACTORIES.keys()
    assert all(f"| {kind} | {seed} |" in page for kind, seeds in SEEDS.items() for seed in seeds)


def test_every_mutant_that_survived_has_a_reason_or_a_test() -> None:
    for item in data()["mutation"]:
        assert item["tried"] <= item["of"]
        assert item["killed"] + len(item.get("survivors", ())) == item["tried"], item["module"]
        assert all(len(survivor) == 2 and survivor[1] for survivor in item.get("survivors", ()))


def test_every_test_file_of_a_mutation_run_exists() -> None:
    found = {
        (item["module"], name)
        for item in data()["mutation"]
        for name in re.findall(r"[^\s,()]+\.py", item["tests"])
    }
    assert {module for module, _ in found} == {item["module"] for item in data()["mutation"]}
    assert not {(module, name) for module, name in found if not (reliability.TESTS / name).is_file()}
