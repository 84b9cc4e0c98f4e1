"""Names of columns and fields in files of all formats: any name is read as itself, and reserved names are refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from scx_pipeline.errors import DeclarationError
from scx_pipeline_tests.support.small_star import ID, REQUIRED_ID, StarFactory, parquet, small_star

NAMES = ["number", "json", "keys", "filename", "file_row_number", "n", "r", "s", "t", "line", "c0"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("nullable", [True, False], ids=["one by one", "uniform"])
def test_a_declared_json_field_of_any_name_is_read(
    create_duckdb_env: StarFactory, name: str, nullable: bool
) -> None:
    load_env = create_duckdb_env(
        "json_lines", {**ID, "nullable": nullable}, {"name": name, "type": "integer"}
    )
    load_env.put_files(
        x=b'{"id":1,"%s":5}\n{"id":2,"%s":6}\n' % (name.encode(), name.encode()),
        y=b'{"id":3,"%s":"x"}\n' % name.encode(),
    )
    load_env.load_all()
    assert load_env.values() == [(1, 5), (2, 6)]
    assert load_env.rejects() == [("in/y", 1, name, "'x' is not an integer")]


@pytest.mark.parametrize(
    "field", ["file_index", "filename", "File_Index", "_scx_number", "_object", "the number", "X"]
)
@pytest.mark.parametrize("nullable", [True, False], ids=["one by one", "uniform"])
def test_a_json_field_of_any_name_is_read_into_a_column_of_another(
    create_duckdb_env: StarFactory, field: str, nullable: bool
) -> None:
    load_env = create_duckdb_env(
        "json_lines", {**ID, "nullable": nullable}, {"name": "v", "field": field, "type": "integer"}
    )
    line = '{{"id":{},"{}":{}}}\n'
    load_env.put_files(
        x=(line.format(1, field, 5) + line.format(2, field, 6)).encode(),
        y=line.format(3, field, '"x"').encode(),
    )
    load_env.load_all()
    assert load_env.values() == [(1, 5), (2, 6)]
    assert load_env.rejects() == [("in/y", 1, "v", "'x' is not an integer")]


@pytest.mark.parametrize("field", [*NAMES, "file_index", "_scx_number", "_object", "ID", "Id", "V"])
@pytest.mark.parametrize("kind", ["csv", "json_lines", "parquet"])
def test_an_undeclared_column_never_replaces_a_declared_one(
    create_duckdb_env: StarFactory, kind: str, field: str
) -> None:
    load_env = create_duckdb_env(kind, REQUIRED_ID, {"name": "v", "type": "varchar(9)", "nullable": False})
    other, first = pa.array(["o", "p"]), pa.array([1, 2])
    files = {
        "csv": f"{field},id,v\no,1,a\np,2,b\n".encode(),
        "json_lines": f'{{"{field}":"o","id":1,"v":"a"}}\n{{"{field}":"p","id":2,"v":"b"}}\n'.encode(),
        "parquet": parquet((field, other), ("id", first), ("v", pa.array(["a", "b"]))),
    }
    bad = {
        "csv": f"{field},id,v\no,3,c\np,4,{'x' * 10}\n".encode(),
        "json_lines": f'{{"{field}":"o","id":3,"v":"c"}}\n{{"{field}":"p","id":4,"v":"{"x" * 10}"}}\n'.encode(),
        "parquet": parquet((field, other), ("id", pa.array([3, 4])), ("v", pa.array(["c", "x" * 10]))),
    }
    load_env.put_files(x=files[kind], y=bad[kind])
    report = load_env.load_all()
    assert load_env.values() == [(1, "a"), (2, "b"), (3, "c")]
    line = 3 if kind == "csv" else 2
    assert load_env.rejects() == [("in/y", line, "v", f"'{'x' * 10}' is longer than 9 bytes")]
    [(raw,)] = load_env.state("rejected_rows", '"raw"')
    assert "x" * 10 in raw
    messages = [check.message for check in report.warnings if check.name == "declared_fields"]
    assert messages == [f"'{field}' is not declared, and was not loaded, in 2 files, such as in/x"]


@pytest.mark.parametrize("name", ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", "oid"])
def test_the_name_of_a_system_column_is_refused_with_its_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        DeclarationError,
        match=r"defs.yaml, line \d+: .*is not a valid name on every engine: .* system column",
    ):
        small_star(tmp_path, "csv", [{"name": name, "type": "integer"}])


@pytest.mark.parametrize("name", ["_scx_number", "_scx_", "_scx_anything"])
def test_a_name_with_a_prefix_that_the_pipeline_reserves_is_refused_with_its_line(
    tmp_path: Path, name: str
) -> None:
    with pytest.raises(DeclarationError, match=rf"defs.yaml, line \d+: .*'{name}' starts with _scx_"):
        small_star(tmp_path, "csv", [{"name": name, "type": "integer"}])
