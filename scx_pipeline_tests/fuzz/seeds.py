"""Seeds of files that were once read wrongly, by format, with what was wrong; they always run first.

New seeds are added by hand.
"""

from __future__ import annotations

SEEDS: dict[str, dict[int, str]] = {
    "csv": {
        214: "2,000 good rows lost after rows that are too short, across byte 16,777,216",
        29: "records with text after a closing quote and line breaks, neither loaded nor rejected",
        120: "one record with two quotes too many, rejected twice",
        300: "the row below a header of more than 64 KiB lost",
        424: "a file of quoted line breaks refused, as if a quote were never closed",
        444: "a header of more than 64 KiB refused for a column that is there once",
        2: "surplus separators: values shifted by one column",
        31: "surplus separators in a file of one column read over",
        203: "blank lines of a one-column file loaded as NULL",
        76: "blank lines of a one-column file rejected",
        553: 'a quoted "" loaded as NULL',
        184: "decimals rounded in silence",
        222: "the name of a zone read as an offset",
        498: "a timestamp with a unit: a crash",
        299: "an undeclared column file_index: a crash, or rows counted for another file",
        369: "an undeclared column _n: a crash",
        365: "header names that differ in case only: a crash",
    },
    "json_lines": {
        11: "decimals rounded in silence",
        42: "a field named number: a crash",
        64: "a byte order mark in a compressed file: the first record rejected",
        22: "a line of more than 16 MiB: out of memory, no file named",
    },
    "json": {},
    "parquet": {
        37: "an undeclared column file_index of nulls: 3,000 rows neither loaded nor rejected",
        52: "an undeclared column file_index: rows of no file",
        79: "an undeclared column file_row_number: rejected rows with the numbers of others",
        71: "an undeclared column file_index of lists: a crash",
        29: "a column's name twice: the first one loaded",
        136: "a timestamp of nanoseconds with a zone refused",
        19: "a column of nulls alone refused",
    },
}
