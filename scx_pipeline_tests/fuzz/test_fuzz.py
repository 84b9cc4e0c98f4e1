"""Random files, read by our reader and by Python's csv, json and pyarrow: the same rows, and every record counted.

SCX_FUZZ_SECONDS is the duration for all formats together (60); SCX_FUZZ_SEED runs one seed; SCX_FUZZ_START is the first.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from shutil import rmtree

import pytest

from scx_pipeline_tests.fuzz.case import Case
from scx_pipeline_tests.fuzz.complete_loads import can_be_loaded, find_load_faults
from scx_pipeline_tests.fuzz.csv import random_csv
from scx_pipeline_tests.fuzz.driver import find_faults
from scx_pipeline_tests.fuzz.json import random_json
from scx_pipeline_tests.fuzz.parquet import random_parquet
from scx_pipeline_tests.fuzz.seeds import SEEDS

CASE_FACTORIES: dict[str, Callable[[Random], Case]] = {
    "csv": random_csv.create_case,
    "json_lines": random_json.create_lines_case,
    "json": random_json.create_documents_case,
    "parquet": random_parquet.create_case,
}
SECONDS = float(os.environ.get("SCX_FUZZ_SECONDS", "60"))
SEED = os.environ.get("SCX_FUZZ_SEED")
START = int(os.environ.get("SCX_FUZZ_START", "0"))  # the same files each time, unless others are asked for
SEEDS_PER_LOAD = 5  # one in so many seeds is also loaded completely
SHARES = {"csv": 0.5, "json_lines": 0.2, "json": 0.1, "parquet": 0.2}  # of the time


def check_seed(kind: str, seed: int, folder: Path) -> None:
    """Fail with the seed, and how to run it again, where the readers differ."""
    home = folder / f"{kind}-{seed}"
    case = CASE_FACTORIES[kind](Random(f"{kind} {seed}"))
    found = find_faults(case, home)
    if not found and seed % SEEDS_PER_LOAD == 0 and can_be_loaded(case):
        found = find_load_faults(case, home)
    assert not found, f"{kind} seed {seed}: {'; '.join(found)}\n" + rerun(kind, seed, home)
    rmtree(home)


def rerun(kind: str, seed: int, home: Path) -> str:
    """How a seed is run again, and where its files are."""
    return f"rerun: SCX_FUZZ_SEED={seed} pytest {Path(__file__).parent} -k 'random_files and {kind}' (the files are in {home})"


@pytest.mark.parametrize(
    ("kind", "seed"), [(kind, seed) for kind in CASE_FACTORIES for seed in SEEDS.get(kind, ())]
)
def test_a_file_that_was_once_read_wrongly_is_read_as_its_format_says(
    kind: str, seed: int, tmp_path: Path
) -> None:
    check_seed(kind, seed, tmp_path)


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", CASE_FACTORIES)
def test_random_files_are_read_as_their_format_says_and_every_record_is_accounted_for(
    kind: str, tmp_path: Path
) -> None:
    if SEED is not None:
        check_seed(kind, int(SEED), tmp_path)
        return
    end = time.monotonic() + SECONDS * SHARES[kind]
    seed = START
    while time.monotonic() < end:
        check_seed(kind, seed, tmp_path)
        seed += 1
