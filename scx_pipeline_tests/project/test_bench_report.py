"""The page of measured results: a section for each scenario, replaced when it is measured again."""

from __future__ import annotations

from pathlib import Path

from tools.bench.measure import Result
from tools.bench.report import TITLE, write


def test_a_scenario_has_its_section_with_promised_and_measured_values(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    results = [
        Result("ours / theirs", 3.0, 2.0, 1.15, note="3.0 s / 2.0 s"),
        Result("peak memory", 350.0, None, 400, "MiB"),
        Result("another way", 4.0, 2.0, None),
    ]
    write(page, "sensors", "Small files,\n    many of them.", results, "make bench ARGS=sensors")
    text = page.read_text()
    assert text.startswith(TITLE)
    assert "## sensors\n\nSmall files, many of them.\n" in text
    assert "`make bench ARGS=sensors`" in text
    assert text.endswith(
        "| ours / theirs | **1.50** | 1.15 | 3.0 s / 2.0 s |\n"
        "| peak memory | 350.00 MiB | 400 MiB |  |\n"
        "| another way | 2.00 | – |  |\n"
    )


def test_a_scenario_that_is_measured_again_replaces_its_own_section_only(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    for name, value in (("small", 1.0), ("sensors", 2.0), ("sensors-s3", 3.0), ("sensors", 4.0)):
        write(page, name, "What.", [Result(name, value, None, 5.0)], f"make bench ARGS={name}")
    rows = [line for line in page.read_text().splitlines() if line.startswith("| s")]
    assert rows == [
        "| small | 1.00 | 5 |  |",
        "| sensors | 4.00 | 5 |  |",
        "| sensors-s3 | 3.00 | 5 |  |",
    ]
    assert page.read_text().count("\n## ") == 3
