"""Which JSON files are recognised as uniform, and that reading them gives the same rows as inspecting each record."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scx_pipeline.model.calendar import UNPARTITIONED
from scx_pipeline.model.source import FilePattern, Source
from scx_pipeline.model.table import Table
from scx_pipeline.parsing.json.field_map import FieldMap
from scx_pipeline.parsing.json.json_lines_parser import JsonLinesParser
from scx_pipeline.parsing.json.line_scan import LineCounts, count_lines
from scx_pipeline.parsing.json.uniform_lines import MAX_ROUNDS, UniformFileFinder
from scx_pipeline.storage.compression import open_decompressed
from scx_pipeline.storage.local_file import LocalFile
from scx_pipeline.storage.object_info import ObjectInfo
from scx_pipeline.warehouse.duckdb.duckdb_session import DuckDBSession
from scx_pipeline.warehouse.sql_text import qualified

SOURCE = Source(
    name="s", description="", format="json_lines", prefix="", files=(FilePattern(pattern="*"),), null_values=("",)
)  # fmt: skip
TABLE = Table.model_validate(
    {
        "name": "t",
        "role": "staging",
        "description": "",
        "source": "s",
        "columns": [
            {"name": "page", "type": "varchar(8)", "description": "", "nullable": False},
            {"name": "song", "type": "varchar(8)", "description": ""},
            {"name": "user_id", "type": "integer", "description": ""},
            {"name": "length", "type": "double", "description": ""},
            {"name": "price", "type": "double", "description": ""},
            {"name": "is_new", "type": "boolean", "description": ""},
            {"name": "born", "type": "date", "description": ""},
            {"name": "at", "field": "atTime", "type": "timestamp", "unit": "milliseconds", "description": ""},
        ],
    }
)
NAMES = [column.field_path[0] for column in TABLE.columns]
GOOD: dict[str, Any] = {
    "page": "Home", "song": "Zoë", "user_id": "7", "length": 0.5, "price": 1.25, "is_new": True,
    "born": "2018-11-01", "atTime": 1541105830796,
}  # fmt: skip


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute("CREATE SCHEMA star")
        session = DuckDBSession(con)
        session.execute(session.create_table_sql(qualified("star", TABLE), TABLE.columns))
        yield con


def line(style: tuple[str, str] = (",", ":"), **changes: Any) -> bytes:
    return json.dumps(GOOD | changes, separators=style, ensure_ascii=False).encode()


def without(name: str) -> bytes:
    return json.dumps({key: value for key, value in GOOD.items() if key != name}).encode()


def file(folder: Path, content: bytes, name: str = "f.json") -> LocalFile:
    path = folder / name
    path.write_bytes(content)
    return LocalFile(
        ObjectInfo(name, len(content), "etag", datetime(2018, 11, 1, tzinfo=UTC)),
        path,
        path.suffix if path.suffix in (".gz", ".zst") else "",
        Path(f"{path}.plain"),
    )


def find(con: duckdb.DuckDBPyConnection, *files: LocalFile) -> dict[int, int]:
    return UniformFileFinder(con, NAMES, {"page", "song"}).find(files, counted(*files))


def counted(*files: LocalFile) -> list[LineCounts]:
    found = []
    for item in files:
        with open_decompressed(item.path) as stream:
            found.append(count_lines(stream))
    return found


@pytest.mark.parametrize(
    "content",
    [
        line() + b"\n" + line(page="Logout") + b"\n",
        line() + b"\n" + line(),
        line() + b"\n" + line(song=None) + b"\n" + line(song=None, length=None) + b"\n",
        line((", ", ": ")) + b"\n" + line((", ", ": "), song=None),
        line() + b"\n" + json.dumps(dict(reversed(GOOD.items())), separators=(",", ":")).encode() + b"\n",
        line(song='"Hi", he said') + b"\n",
        line(user_id=[1, 2]) + b"\n" + line(user_id={}) + b"\n",  # no texts: their values will be refused
        line() + b"\n" + line()[:-1] + b",}\n",
        line(song="\\") + b"\n" + line(song="\n\t") + b"\n" + line(song="\U0001f600") + b"\n",
    ],
    ids=[
        "two",
        "no newline at the end",
        "nulls",
        "blanks",
        "other order",
        "quotes",
        "odd numbers",
        "comma",
        "escapes",
    ],
)
def test_files_whose_lines_are_objects_of_the_declared_fields_are_uniform(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, content: bytes
) -> None:
    assert find(con, file(tmp_path, content)) == {0: len(content.splitlines())}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        line() + b"\n\n" + line() + b"\n",
        line() + b"\n" + line(more=1) + b"\n",
        line() + b"\n" + without("song") + b"\n",
        line() + b"\n" + without("song")[:-1] + b',"track":"x"}\n',
        line()[:-1] + b',"page":"Home"}\n',
        line()[:-1] + b',"more" :1}\n',
        line()[:-1] + b',"more"\t:1}\n',
        line()[:-1] + b', "more":"x"}\n',
        line(song=7) + b"\n",
        line(song=True) + b"\n",
        line(song={"page": "x"}) + b"\n",
        line(user_id={"page": "x"}) + b"\n",
        line(user_id=[{"a": 1}]) + b"\n",
        line().replace(b"Home", b"Ho\\u0000me") + b"\n",
        line().replace(b"user_id", b"user-id") + b"\n",
        line().replace(b"atTime", b"attime") + b"\n",
        line() + b"\r\n" + line() + b"\r\n",
        line() + b" \n",
        b"[" + line() + b"]\n",
        b"[]\n",
        b"not JSON\n",
        line() + b"\n" + line().replace(b"Home", b"Ho\xffme") + b"\n",
    ],
)  # fmt: skip
def test_other_files_are_not_uniform(con: duckdb.DuckDBPyConnection, tmp_path: Path, content: bytes) -> None:
    assert find(con, file(tmp_path, content)) == {}


def test_uniform_files_are_distinguished_from_others(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    lines = [line(song=None), line(more=1), line(), b"x", line() + b"\n" + line(page="x", song=None)]
    files = [file(tmp_path, content, f"{number}.json") for number, content in enumerate(lines)]
    assert find(con, *files) == {0: 1, 2: 1, 4: 2}


def test_compressed_files_are_inspected(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    good = file(tmp_path, gzip.compress(line() + b"\n"), "good.json.gz")
    bad = file(tmp_path, gzip.compress(line(more=1) + b"\n"), "bad.json.gz")
    assert find(con, good, bad) == {0: 1}


def test_names_without_an_underscore_are_found_too(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    content = file(tmp_path, b'{"a":1,"b":"x_y"}\n{"a":2,"b":null}\n')
    assert UniformFileFinder(con, ["a", "b"], {"b"}).find([content], counted(content)) == {0: 2}


def test_a_file_with_more_shapes_than_rounds_is_recognised_by_its_first_lines(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    turned = [
        dict(list(GOOD.items())[place:] + list(GOOD.items())[:place]) for place in range(2 * MAX_ROUNDS)
    ]
    content = file(tmp_path, b"\n".join(json.dumps(item).encode() for item in turned))
    assert find(con, content) == {0: 2 * MAX_ROUNDS}


def test_a_name_with_a_pattern_character_is_never_uniform(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    content = file(tmp_path, b'{"100%":1}\n{"100% sure":1}\n')
    assert UniformFileFinder(con, ["100%"], set()).find([content], counted(content)) == {}


@pytest.mark.parametrize(
    ("number", "uniform"),
    [("1541105830796.0", True), ("1541105830796.125", True), ("1541105830796.1250", True), ("-1.5", True), ("1541105830796", True), ('"x"', True),
     ("1541105830796.00000001", False), ("  1541105830796.00000001", False), ("-1541105830796.1251", False), ("1.541105830796e12", False), ("9541105830796.125", False)],
)  # fmt: skip
@pytest.mark.parametrize("style", [(",", ":"), (", ", ": ")])
def test_a_file_with_a_number_that_may_be_rounded_is_not_uniform(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, style: tuple[str, str], number: str, uniform: bool
) -> None:
    content = line(style) + b"\n" + line(style, atTime="@").replace(b'"@"', number.encode())
    excluded = FieldMap(SOURCE, TABLE).excluded_patterns
    one = file(tmp_path, content)
    found = UniformFileFinder(con, NAMES, {"page", "song"}, excluded).find([one], counted(one))
    assert found == ({0: 2} if uniform else {})


# -- both ways of reading ----------------------------------------------------------------------------------------------

texts = st.one_of(
    st.none(), st.text(max_size=10), st.sampled_from(["", "a:b", 'a":b', '","song":"', "\\", " :", "%", "_"])
)
numbers = st.one_of(
    st.none(), st.integers(-(10**20), 10**20), st.integers(-9, 9), st.floats(allow_nan=True), st.booleans(),
    st.sampled_from(["", "7", "7.0", "1e3", "1_000", " 7", "x", "nan", [], [1], {}, {"page": 1}, "2018-11-01", 1541105830796]),
)  # fmt: skip


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    kinds = {"page": texts, "song": texts}
    usual = {name: value for name, value in GOOD.items() if name == "page" or draw(st.integers(0, 9)) < 9}
    record = usual | {
        name: draw(kinds.get(name, numbers))
        for name in NAMES
        if name not in usual or draw(st.integers(0, 3)) == 0
    }
    if draw(st.integers(0, 2)) == 0:
        record = {name: record[name] for name in draw(st.permutations(NAMES))}
    style = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    text = json.dumps(record, separators=style, ensure_ascii=draw(st.booleans()))
    content = text.encode("utf-8", "replace")
    match draw(st.integers(0, 30)):
        case 0:
            return draw(
                st.sampled_from(
                    [b"", b"null", b"x", content[:-1], content + b"}", content[:-1] + b',"more":1}']
                )
            )
        case 1:
            place = draw(st.integers(0, len(content) - 1))
            return (
                content[:place]
                + draw(st.sampled_from([b'"', b":", b",", b"\\", b" ", b"\xff", b"\x01", b"\0", b"{"]))
                + content[place + 1 :]
            )
        case _:
            return content


class Careful(JsonLinesParser):
    """Asks each record of every file."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.finder.names = ["%"]  # which no uniform file has


def read(con: duckdb.DuckDBPyConnection, kind: type[JsonLinesParser], files: list[LocalFile]) -> Any:
    """The staged rows by file key, the rejected rows by file, and the undeclared fields."""
    with DuckDBSession(con).tables.open_staging_buffer("star", TABLE, UNPARTITIONED) as buffer:
        parser = kind(SOURCE, TABLE, buffer, lambda item: item.key)
        numbered: list[LocalFile] = []
        for group in parser.group_files(files):
            parser.stage(len(numbered), [files[index] for index in group])
            numbered += [files[index] for index in group]
        rows = con.execute(f"SELECT * FROM {buffer.rows}").fetchall()
        keys = [item.object.key for item in numbered]
        staged = sorted(repr((keys[row[-1]], row[:-1])) for row in rows if row[-1] >= 0)
        refused = {}
        for bad in {-1 - row[-1] for row in rows if row[-1] < 0}:
            records = sum(row[-1] in (bad, -1 - bad) for row in rows)
            refused[keys[bad]] = parser.find_rejected(bad, numbered[bad], records, None)
            assert len(refused[keys[bad]]) == sum(row[-1] == -1 - bad for row in rows)
        undeclared_fields = {keys[number]: found for number, found in parser.undeclared_fields.items()}
        con.execute(f"DROP TABLE {buffer.rows}")
    return staged, refused, undeclared_fields


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(lines(), max_size=6), min_size=1, max_size=4))
@example([[line(), line(page=None)]])
@example([[line(), line().replace(b"true", b"tru")]])
@example([[line(atTime=2.5), line(atTime="@").replace(b'"@"', b"1541105830796.00000001")]])
@example([[line(user_id=1e3), line(length=1e999), line(length=-0.0), line(price=True)]])
def test_uniform_files_give_the_same_rows_as_reading_each_record(
    tmp_path_factory: pytest.TempPathFactory, con: duckdb.DuckDBPyConnection, contents: list[list[bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("files")
    files = [file(folder, b"\n".join(content), f"{number}.json") for number, content in enumerate(contents)]
    assert read(con, JsonLinesParser, files) == read(con, Careful, files)
