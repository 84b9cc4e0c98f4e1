"""Random files, read by our reader and by Python's csv, json and pyarrow: the same rows, and every record accounted for.

SCX_FUZZ_SECONDS is how long, of all formats together (60); SCX_FUZZ_SEED runs one seed alone; SCX_FUZZ_START begins there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from shutil import rmtree

import pytest

from scx_pipeline_tests.fuzz import csvfiles, jsonfiles, parquetfiles
from scx_pipeline_tests.fuzz.case import Case
from scx_pipeline_tests.fuzz.driver import faults
from scx_pipeline_tests.fuzz.seeds import SEEDS
from scx_pipeline_tests.fuzz.whole_loads import can_be_loaded, load_faults

MAKERS: dict[str, Callable[[Random], Case]] = {
    "csv": csvfiles.make,
    "json_lines": jsonfiles.make_lines,
    "json": jsonfiles.make_documents,
    "parquet": parquetfiles.make,
}
SECONDS = float(os.environ.get("SCX_FUZZ_SECONDS", "60"))
SEED = os.environ.get("SCX_FUZZ_SEED")
START = int(os.environ.get("SCX_FUZZ_START", "0"))  # the same files each time, unless others are asked for
WHOLE_LOADS = 5  # of so many seeds, one is loaded as a whole as well
SHARES = {"csv": 0.5, "json_lines": 0.2, "json": 0.1, "parquet": 0.2}  # of the time


def check(kind: str, seed: int, folder: Path) -> None:
    """Fail with the seed, and how to run it again, where the readers differ."""
    home = folder / f"{kind}-{seed}"
    case = MAKERS[kind](Random(f"{kind} {seed}"))
    found = faults(case, home)
    if not found and seed % WHOLE_LOADS == 0 and can_be_loaded(case):
        found = load_faults(case, home)
    assert not found, f"{kind} seed {seed}: {'; '.join(found)}\n" + rerun(kind, seed, home)
    rmtree(home)


def rerun(kind: str, seed: int, home: Path) -> str:
    """How a seed is run again, and where its files are."""
    return f"rerun: SCX_FUZZ_SEED={seed} pytest {Path(__file__).parent} -k 'random_files and {kind}' (the files are in {home})"


@pytest.mark.parametrize(("kind", "seed"), [(kind, seed) for kind in MAKERS for seed in SEEDS.get(kind, ())])
def test_a_file_that_was_once_read_wrongly_is_read_as_its_format_says(
    kind: str, seed: int, tmp_path: Path
) -> None:
    check(kind, seed, tmp_path)


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", MAKERS)
def test_random_files_are_read_as_their_format_says_and_every_record_is_accounted_for(
    kind: str, tmp_path: Path
) -> None:
    if SEED is not None:
        check(kind, int(SEED), tmp_path)
        return
    end = time.monotonic() + SECONDS * SHARES[kind]
    seed = START
    while time.monotonic() < end:
        check(kind, seed, tmp_path)
        seed += 1
