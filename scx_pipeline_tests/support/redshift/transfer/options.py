"""The options of COPY and UNLOAD, and which of them exclude each other.

Nothing is executed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from scx_pipeline_tests.support.redshift.wire import Failure

SYNTAX = "42601"
MAX_ERRORS = 100_000
COMPRESSED = frozenset({"gzip", "zstd", "bzip2", "lzop"})
# The options of COPY from columnar files, besides the credentials.
COLUMNAR = frozenset({"format", "iam_role", "manifest", "acceptinvchars", "fillrecord", "statupdate"})
_TOKEN = re.compile(r"\s*('(?:[^'\\]|''|\\.)*'|\"(?:[^\"]|\"\")*\"|[A-Za-z_][\w$]*|\d+(?:\.\d+)?|[(),.;])")
_FLAGS = {"manifest", "gzip", "zstd", "bzip2", "lzop", "emptyasnull", "blanksasnull", "roundec", "truncatecolumns",
          "fillrecord", "ignoreblanklines", "trimblanks", "escape", "removequotes", "explicit_ids", "noload",
          "acceptanydate", "encrypted"}  # fmt: skip
_SWITCHES = {"compupdate", "statupdate", "parallel"}
_TEXTS = {"region", "dateformat", "timeformat", "delimiter", "null", "quote", "acceptinvchars"}
_NUMBERS = {"maxerror", "ignoreheader", "comprows"}


@dataclass(frozen=True)
class Copy:
    """A COPY statement: the table's name as written, its columns, the address, and the options by name."""

    table: str
    columns: tuple[str, ...]
    source: str
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def format(self) -> str:
        return self.options.get("format", "delimited")

    @property
    def max_errors(self) -> int:
        return int(self.options.get("maxerror", 0))

    def has(self, name: str) -> bool:
        return name in self.options


def parse_copy(sql: str) -> Copy:
    """Parse the statement. Raises Failure for what Redshift rejects."""
    rest = _tokens(sql)
    next(rest)  # COPY
    table, columns, word = [], [], next(rest, "")
    while word and word.lower() not in ("from", "("):
        table.append(word if word == "." else _name(word))
        word = next(rest, "")
    if word == "(":
        columns = [_name(item) for item in iter(lambda: next(rest, ")"), ")") if item != ","]
        word = next(rest, "")
    if word.lower() != "from":
        raise Failure(SYNTAX, f'syntax error at or near "{word}"')
    source = next(rest, "")
    if not source.startswith("'"):
        raise Failure(SYNTAX, f'syntax error at or near "{source}": COPY reads from S3')
    copy = Copy("".join(table), tuple(columns), _text(source), _options(rest))
    _check(copy)
    return copy


def _options(rest: Iterator[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for token in rest:
        word = token.lower()
        if word in ("as", "with", ";"):
            continue
        if word == "iam_role":
            role = next(rest, "")
            found[word] = role.lower() if role.lower() == "default" else _text(role)
        elif word in ("format", "csv", "json", "parquet", "orc", "avro"):
            kind = _after_as(rest).lower() if word == "format" else word
            found["format"] = kind
            if kind in ("json", "avro"):
                found["paths"] = _text(_after_as(rest))
        elif word in _FLAGS:
            found[word] = ""
        elif word in _SWITCHES:
            found[word] = next(rest, "").lower()
        elif word in _TEXTS:
            found[word] = _text(_after_as(rest))
        elif word in _NUMBERS:
            found[word] = _after_as(rest)
        elif word in ("credentials", "access_key_id", "secret_access_key"):
            raise Failure(
                "0A000", f"the stand-in accepts no {word.upper()}: secrets have no place in a statement"
            )
        else:
            raise Failure(SYNTAX, f'syntax error at or near "{token}"')
    return found


def _check(copy: Copy) -> None:
    if not copy.source.startswith("s3://"):
        raise Failure(SYNTAX, f"COPY reads from S3, and {copy.source} is elsewhere")
    if not copy.has("iam_role"):
        raise Failure("XX000", "COPY needs authorization: IAM_ROLE")
    if copy.format in ("parquet", "orc"):
        for name in copy.options:
            if name not in COLUMNAR:
                raise Failure("0A000", f"{name.upper()} is not supported for {copy.format.upper()}")
    if copy.format == "csv":
        for name in ("escape", "removequotes"):
            if copy.has(name):
                raise Failure(SYNTAX, f"CSV is not compatible with {name.upper()}")
    if copy.format == "json":
        for name in (
            "delimiter",
            "escape",
            "removequotes",
            "ignoreheader",
            "ignoreblanklines",
            "fillrecord",
            "null",
            "quote",
        ):
            if copy.has(name):
                raise Failure(SYNTAX, f"JSON is not compatible with {name.upper()}")
    if not 0 <= copy.max_errors <= MAX_ERRORS:
        raise Failure(SYNTAX, f"MAXERROR must be between 0 and {MAX_ERRORS}")
    if len(COMPRESSED & copy.options.keys()) > 1:
        raise Failure(SYNTAX, "only one compression can be given")


# Options that UNLOAD rejects for PARQUET, and that the stand-in does not support.
_NOT_PARQUET = frozenset(
    {"delimiter", "fixedwidth", "addquotes", "escape", "null", "header", "gzip", "bzip2", "zstd"}
)
_UNLOAD_FLAGS = frozenset(
    {"addquotes", "escape", "header", "gzip", "bzip2", "zstd", "allowoverwrite", "cleanpath"}
)
_UNITS = {"mb": 1 << 20, "gb": 1 << 30}
# The valid sizes of a file and of a row group, in bytes.
_SIZES = {"maxfilesize": (5 << 20, int(6.2 * (1 << 30))), "rowgroupsize": (32 << 20, 128 << 20)}


@dataclass(frozen=True)
class UnloadStatement:
    """An UNLOAD statement: its query, its address, its partition columns, and the options by name."""

    query: str
    target: str
    partition_by: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)

    def has(self, name: str) -> bool:
        return name in self.options


def parse_unload(sql: str) -> UnloadStatement:
    """Parse the statement. Raises Failure for what Redshift rejects (r_UNLOAD.html)."""
    rest = _Words(list(_tokens(sql)))
    rest.take("unload", "(")
    query = _text(rest.next())
    rest.take(")", "to")
    target = _text(rest.next())
    options: dict[str, str] = {}
    columns: list[str] = []
    while rest.words:
        word = rest.next().lower()
        if word == "partition":
            rest.take("by", "(")
            columns = [_name(item).strip('"') for item in iter(rest.next, ")") if item != ","]
            options["partition"] = "include" if rest.skip("include") else ""
        else:
            _unload_option(word, rest, options)
    unload = UnloadStatement(query, target, tuple(columns), options)
    _check_unload(unload)
    return unload


class _Words:
    """The remaining tokens of a statement."""

    def __init__(self, words: list[str]) -> None:
        self.words = words

    def next(self) -> str:
        if not self.words:
            raise Failure(SYNTAX, "syntax error at end of input")
        return self.words.pop(0)

    def take(self, *expected: str) -> None:
        for word in expected:
            found = self.next()
            if found.lower() != word:
                raise Failure(SYNTAX, f'syntax error at or near "{found}"')

    def skip(self, *words: str) -> str:
        """Take the next word if it is one of these."""
        return self.words.pop(0).lower() if self.words and self.words[0].lower() in words else ""


def _unload_option(word: str, rest: _Words, options: dict[str, str]) -> None:
    if word == ";":
        return
    if word in ("format", "parquet", "csv", "json"):
        rest.skip("as")
        options["format"] = rest.next().lower() if word == "format" else word
    elif word == "iam_role":
        options[word] = rest.skip("default") or _text(rest.next())
    elif word == "manifest":
        options[word] = rest.skip("verbose")
    elif word in _SIZES:
        rest.skip("as")
        options[word] = str(int(float(rest.next()) * _UNITS[rest.skip("mb", "gb") or "mb"]))
    elif word == "parallel":
        options[word] = rest.skip("on", "true", "off", "false") or "on"
    elif word in ("region", "delimiter", "null", "fixedwidth"):
        rest.skip("as")
        options[word] = _text(rest.next())
    elif word in _UNLOAD_FLAGS:
        options[word] = ""
    elif word in ("credentials", "access_key_id", "secret_access_key"):
        raise Failure(
            "0A000", f"the stand-in accepts no {word.upper()}: secrets have no place in a statement"
        )
    else:
        raise Failure(SYNTAX, f'syntax error at or near "{word}"')


def _check_unload(unload: UnloadStatement) -> None:
    if not unload.target.startswith("s3://"):
        raise Failure(SYNTAX, f"UNLOAD writes to S3, and {unload.target} is elsewhere")
    if not unload.has("iam_role"):
        raise Failure("XX000", "UNLOAD needs authorization: IAM_ROLE")
    if unload.options.get("format") != "parquet":
        raise Failure("0A000", "the stand-in unloads PARQUET only")
    for name in sorted(_NOT_PARQUET & unload.options.keys()):
        raise Failure("0A000", f"{name.upper()} is not supported for PARQUET")
    if unload.has("allowoverwrite") and unload.has("cleanpath"):
        raise Failure(SYNTAX, "ALLOWOVERWRITE and CLEANPATH cannot both be given")
    for name, (least, most) in _SIZES.items():
        if unload.has(name) and not least <= int(unload.options[name]) <= most:
            raise Failure(SYNTAX, f"{name.upper()} must be between {least} and {most} bytes")


def _after_as(rest: Iterator[str]) -> str:
    token = next(rest, "")
    return next(rest, "") if token.lower() == "as" else token


def _tokens(sql: str) -> Iterator[str]:
    position = 0
    text = sql.rstrip()
    while position < len(text):
        found = _TOKEN.match(text, position)
        if found is None:
            raise Failure(SYNTAX, f'syntax error at or near "{text[position : position + 20]}"')
        yield found[1]
        position = found.end()


def _text(token: str) -> str:
    if len(token) < 2 or token[0] != "'":
        raise Failure(SYNTAX, f'syntax error at or near "{token}"')
    return re.sub(r"''|\\(.)", lambda found: found[1] or "'", token[1:-1])


def _name(token: str) -> str:
    return f'"{token[1:-1].lower()}"' if token.startswith('"') else f'"{token.lower()}"'
