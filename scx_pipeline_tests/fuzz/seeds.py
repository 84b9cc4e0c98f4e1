"""Seeds of files that were once read wrongly, by format; they are always run first. What was wrong: docs/reliability.md."""

from __future__ import annotations

SEEDS: dict[str, dict[int, str]] = {
    "csv": {
        2: "values shifted by a surplus separator",
        6: "blank lines of a one-column file as rows",
        17: 'quoted "" as NULL',
        23: "a count of a unit",
    },
    "json_lines": {11: "decimals rounded", 64: "a byte order mark in a compressed file"},
}
