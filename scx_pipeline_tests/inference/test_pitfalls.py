"""Files that mislead a guess: no row, digit or value of theirs is lost, and what is doubtful is said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from scx_pipeline.errors import DeclarationError, SourceFileError
from scx_pipeline.inference.new_star import check_name, write_star
from scx_pipeline.inference.proposal import Proposal
from scx_pipeline_tests.inference.test_proposal import proposed

ROWS = "".join(f"{number},{number % 7}\n" for number in range(1, 21))


def propose(folder: Path, content: str | bytes, key: str = "a.csv") -> Proposal:
    data = content if isinstance(content, bytes) else content.encode()
    return proposed("shop", folder, {key: data})


def types_of(proposal: Proposal) -> dict[str, str]:
    return {column.name: column.type for column in proposal.design.columns}


WHOLE = {
    "a value that begins with the mark of a comment": ("tag,n\n#fun,1\n#sun,2\nplain,3\n", 3),
    "a last row unlike the others": (
        "k,v\n" + "".join(f"K{n:03},x\n" for n in range(20)) + "misc,last\n",
        21,
    ),
    "a last row with an empty value": (
        "k,v\n" + "".join(f"{n},x\n" for n in range(100, 120)) + ",last\n",
        21,
    ),
    "a separator of lines within a value": ("k,v\n" + ROWS + "21,foo\u2028bar\n", 21),
    "a form feed in a title": ("Orders\x0cof 2024\nk,v\n" + ROWS, 20),
}


@pytest.mark.parametrize(("text", "rows"), WHOLE.values(), ids=WHOLE.keys())
def test_no_row_is_taken_for_a_comment_a_header_or_a_footer(text: str, rows: int, tmp_path: Path) -> None:
    proposal = propose(tmp_path, text)
    assert proposal.rows == rows
    assert "skip_footer" not in proposal.source.get("dialect", {})


def test_a_total_is_a_footer_only_if_every_file_has_one(tmp_path: Path) -> None:
    one, two = f"k,v\n{ROWS}Total,99\n".encode(), f"k,v\n{ROWS}".encode()
    with_total = proposed("shop", tmp_path / "1", {"a.csv": one, "b.csv": one})
    assert with_total.source["dialect"] == {"skip_footer": 1}
    assert "dialect" not in proposed("shop", tmp_path / "2", {"a.csv": one, "b.csv": two}).source


TYPES = {
    "leading zeros after many codes": (
        "".join(f"{n}\n" for n in range(10_000, 13_000)) + "01234\n",
        "varchar(16)",
    ),
    "ids of twenty digits": ("12345678901234567890\n12345678901234567891\n", "decimal(38,0)"),
    "amounts of nineteen digits": ("1234567890123456789.25\n", "decimal(38,2)"),
    "integers, then decimals": ("1\n" * 3000 + "1.5\n", "decimal(18,1)"),
    "dates, then a text": ("2024-01-05\n" * 30 + "soon\n", "varchar(32)"),
    "German thousands": ("1.234;x\n2.500;x\n", "integer"),
    "English thousands": ('"1,234"\n"2,500"\n', "integer"),
}


@pytest.mark.parametrize(("values", "kind"), TYPES.values(), ids=TYPES.keys())
def test_the_type_of_a_column_loses_nothing_of_its_values(values: str, kind: str, tmp_path: Path) -> None:
    header = "n;x\n" if ";" in values else "n\n"
    assert types_of(propose(tmp_path, header + values))["n"] == kind


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("id,day\n1,03/04/2024\n2,05/06/2024\n", "day"),
        ("n;x\n1.234;x\n2.500;x\n", "n"),
        ("id,at\n" + "".join(f"{n},2024-01-05\n" for n in range(30)) + "31,soon\n", "at"),
        ("1,a\n2,b\n", "header"),
        ("id,n\n1,5\n2,NA\n", "null values"),
    ],
    ids=["day and month", "thousands or decimals", "a type that nearly fits", "no header", "null values"],
)
def test_what_is_doubtful_is_among_the_guesses(text: str, subject: str, tmp_path: Path) -> None:
    assert subject in [guess.subject for guess in propose(tmp_path, text).guesses]


def test_rules_that_all_rows_meet_are_suggested_and_not_declared(tmp_path: Path) -> None:
    text = "id,kind,n,at\n" + "".join(f"{n},{'ab'[n % 2]},{n / 2},2024-01-05\n" for n in range(60))
    proposal = propose(tmp_path / "samples", text)
    assert proposal.rule_candidates == {"kind": {"accepted_values": ["a", "b"]}, "n": {"range": [0.0, 29.5]}}
    write_star(tmp_path / "shop", "shop", proposal, None)
    assert "- {name: kind, accepted_values: [a, b]}" in (tmp_path / "shop" / "README.md").read_text("utf-8")
    assert "accepted_values" not in (tmp_path / "shop" / "defs.yaml").read_text("utf-8")


def test_values_that_are_equal_in_other_texts_are_no_key(tmp_path: Path) -> None:
    text = "id,v\n" + "".join(f"{n},x\n+{n},y\n" for n in range(1, 11))
    assert propose(tmp_path, text).design.key == ()


def test_an_umlaut_in_the_name_of_a_json_field_is_found(tmp_path: Path) -> None:
    content = '{"straße": "A", "größe": 1}\n{"straße": "B", "größe": 2}\n'
    assert types_of(propose(tmp_path, content, "a.json")) == {"strasse": "varchar(16)", "groesse": "integer"}


NAMES = ["day", "hour", "When", "order", "select", "user", "timestamp", "table", "time", "Group"]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_of_a_column_can_be_used(name: str, tmp_path: Path) -> None:
    lines = "".join(f"{n},2024-01-{n:02} 10:00,C{n % 3},x{n % 3}\n" for n in range(1, 10))
    for header in (f"id,{name},cust_id,label", f"id,at,cust_id,{name}", f"{name}_id,at,cust_id,label"):
        proposal = propose(tmp_path / header, f"{header}\n{lines}")
        write_star(tmp_path / header.replace(",", "") / "shop", "shop", proposal, None)


REFUSED: Mapping[str, tuple[Mapping[str, bytes], str]] = {
    "an empty file": ({"a.csv": b""}, "a.csv: the file is empty"),
    "a header alone": ({"a.csv": b"id,v\n"}, "a.csv: the file has no rows"),
    "a picture": ({"a.png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 9}, "a.png: no format fits the file"),
    "a name twice": ({"a.csv": b"id,v,v\n1,x,y\n"}, "a.csv, line 1: the header has the column 'v' twice"),
    "no name": ({"a.csv": b",id,v\n0,1,x\n"}, "a.csv, line 1: the header's column 1 has no name"),
    "broken JSON": ({"a.json": b'{"id": 1}\n{"id": \n'}, "a.json: cannot be read as json_lines"),
    "JSON without fields": ({"a.json": b"{}\n{}\n"}, "a.json: no column can hold any of its fields"),
    "two encodings": ({"a.csv": "n,v\n1,ü\n".encode("cp1252"), "b.csv": "n,v\n1,ü\n".encode()}, "look differently written (encoding"),
    "two delimiters": ({"a.csv": b"n,v\n1,x\n", "b.csv": b"n;v\n1;x\n"}, "look differently written (delimiter"),
}  # fmt: skip


@pytest.mark.parametrize(("contents", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_files_that_no_star_fits_are_refused_with_their_names(
    contents: Mapping[str, bytes], message: str, tmp_path: Path
) -> None:
    with pytest.raises(SourceFileError) as caught:
        proposed("shop", tmp_path, contents)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["Bad Name", "scx_pipeline", "pg_x", ""])
def test_a_name_that_cannot_be_that_of_a_star_is_refused(name: str) -> None:
    with pytest.raises(DeclarationError, match="the name of a star and its schema"):
        check_name(name)


def test_a_large_file_is_read_in_bounded_time_and_whole(tmp_path: Path) -> None:
    rows = 400_000  # 10 MB: more than is looked at to guess the dialect
    text = "id,at,amount\n" + "".join(f"{n},2024-01-05 10:00:00,{n}.25\n" for n in range(rows))
    proposal = propose(tmp_path, text)
    assert proposal.rows == rows
    assert proposal.design.key == ("id",)
