"""CREATE TABLE of Redshift: distribution, sort keys and encodings are checked; keys are not enforced.

Other statements are not translated here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.tokens import Token, TokenType

from scx_pipeline_tests.support.redshift.wire import Failure

ENCODINGS = frozenset(
    "raw az64 bytedict delta delta32k lzo mostly8 mostly16 mostly32 runlength text255 text32k zstd".split()
)
STYLES = frozenset({"even", "key", "all", "auto"})
MAX_SORT_KEYS, MAX_COLUMNS, MAX_VARCHAR, MAX_CHAR, MAX_DIGITS = 400, 1600, 65_535, 4_096, 38
# Reserved words of the guide that PostgreSQL would accept as column names without quotes.
RESERVED = frozenset(
    """
    aes128 aes256 allowoverwrite authorization backup binary blanksasnull bytedict bzip2 credentials cross current_user_id
    deflate defrag delta delta32k disable emptyasnull enable encode encrypt encryption explicit free freeze full globaldict256
    globaldict64k gzip identity ignore ilike inner isnull language left like lun luns lzo lzop minus mostly16 mostly32 mostly8
    natural new nulls off offline offset oid old open outer overlaps parallel partition percent permissions raw readratio
    recover rejectlog resort respect restore right similar snapshot sysdate system tag tdes text255 text32k timestamp top
    truncatecolumns verbose wallet without
    """.split()
)

# PostgreSQL's system columns, whose names Redshift reserves, quoted or not.
SYSTEM = frozenset({"oid", "tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})


@dataclass
class _Options:
    """The clauses after the list of columns."""

    style: str = ""
    dist: list[str] = field(default_factory=list)
    sort: list[str] = field(default_factory=list)


def create_table(sql: str, tokens: Sequence[Token], types: Collection[str]) -> str:
    """Return PostgreSQL's statement for Redshift's CREATE TABLE with a list of columns.

    Lengths count bytes, and NOT NULL holds; primary, foreign and unique keys do not. Raises Failure.
    """
    opening = next(i for i, token in enumerate(tokens) if token.token_type is TokenType.L_PAREN)
    closing = _closing(tokens, opening)
    options, columns, lines = _options(tokens[closing + 1 :]), [], []
    for item in _items(tokens[opening + 1 : closing]):
        word = item[0].text.lower().split()[0]
        if word == "like" and len(item) > 1:
            lines.append(sql[item[0].start : item[-1].end + 1])
        elif item[0].token_type is not TokenType.IDENTIFIER and word in (
            "primary",
            "unique",
            "foreign",
            "constraint",
        ):
            continue  # informational: not enforced
        elif item[0].token_type is not TokenType.IDENTIFIER and word in ("check", "exclude"):
            raise Failure("0A000", f"{word.upper()} constraints are not supported")
        else:
            name, line = _column(sql, item, options, types)
            columns.append(name)
            lines.append(line)
    _check_options(options, columns)
    head = sql[tokens[0].start : tokens[opening].start].lower()
    return f"{head}({', '.join(lines)})"


def _column(sql: str, item: Sequence[Token], options: _Options, types: Collection[str]) -> tuple[str, str]:
    """Return a column's name, and its definition for PostgreSQL."""
    first = item[0]
    name = first.text.lower()
    if first.token_type is not TokenType.IDENTIFIER and name in RESERVED:
        raise Failure("42601", f'syntax error at or near "{first.text}"')
    if name in SYSTEM:
        raise Failure("42701", f'column name "{name}" conflicts with a system column name')
    kept: list[Token] = []
    rest = iter(item[1:])
    for token in rest:
        word = token.text.lower()
        if word == "encode":
            encoding = next(rest).text.lower()
            if encoding not in ENCODINGS:
                raise Failure("42601", f'unknown encoding "{encoding}"')
        elif word == "distkey":
            options.dist.append(name)
        elif word == "sortkey":
            options.sort.append(name)
        elif word in ("check", "generated") and "identity" not in [other.text.lower() for other in item]:
            raise Failure("0A000", f"{word.upper()} is not supported for columns")
        elif word in ("unique", "references"):
            break
        elif word in ("primary key", "key", "primary"):
            continue
        else:
            kept.append(token)
    text = (
        sql[kept[0].start : kept[-1].end + 1]
        if _unbroken(kept, item)
        else " ".join(token.text for token in kept)
    )
    return name, f'"{name}" {_typed(name, text, types)}'


def _unbroken(kept: Sequence[Token], item: Sequence[Token]) -> bool:
    first = item.index(kept[0])
    return list(item[first : first + len(kept)]) == list(kept)


def _typed(name: str, definition: str, types: Collection[str]) -> str:
    """Return the checked type, with a length in bytes, and the other clauses of the column."""
    try:
        tree = sqlglot.parse_one(f"CREATE TABLE t (x {definition})", dialect="redshift")
    except SqlglotError as error:
        raise Failure("42601", f"syntax error: {str(error).splitlines()[0]}") from None
    column = tree.find(exp.ColumnDef)
    assert column is not None
    kind = column.args["kind"]
    if (
        "serial" in definition.lower()
        or not isinstance(kind.this, exp.DataType.Type)
        or kind.this.name not in types
        or kind.this.name in ("INTERVAL", "NAME")
    ):
        raise Failure("42704", f'type "{definition.split()[0].lower()}" does not exist')
    sizes = [int(part.name) for part in kind.find_all(exp.Literal)]
    limit = {
        "VARCHAR": MAX_VARCHAR,
        "NVARCHAR": MAX_VARCHAR,
        "CHAR": MAX_CHAR,
        "NCHAR": MAX_CHAR,
        "DECIMAL": MAX_DIGITS,
    }
    text = kind.this.name in ("VARCHAR", "NVARCHAR", "TEXT")
    if text and not sizes:
        sizes = [MAX_VARCHAR if "max" in definition.lower() else 256]
    if sizes and sizes[0] > limit.get(kind.this.name, MAX_VARCHAR):
        raise Failure(
            "22023", f"length for type {kind.this.name.lower()} cannot exceed {limit[kind.this.name]}"
        )
    not_null = " NOT NULL" if "not null" in " ".join(definition.lower().split()) else ""
    default = column.find(exp.DefaultColumnConstraint)
    stated = f" DEFAULT {default.this.sql(dialect='postgres')}" if default else ""
    if text:
        return f'varchar({sizes[0]}){stated}{not_null} CHECK (octet_length("{name}") <= {sizes[0]})'
    return f"{kind.sql(dialect='postgres')}{stated}{not_null}"


def _options(tokens: Sequence[Token]) -> _Options:
    found, rest = _Options(), list(tokens)
    while rest:
        word = rest.pop(0).text.lower()
        if word == "diststyle" and rest:
            found.style = rest.pop(0).text.lower()
        elif word == "distkey":
            found.dist += _names(rest)
        elif word in ("compound", "interleaved"):
            continue
        elif word == "sortkey":
            found.sort += (
                ["auto"] if rest and rest[0].text.lower() == "auto" and rest.pop(0) else _names(rest)
            )
        else:
            raise Failure("42601", f'syntax error at or near "{word}"')
    return found


def _names(rest: list[Token]) -> list[str]:
    """Remove the next names in parentheses from the tokens, and return them."""
    found = []
    while rest:
        token = rest.pop(0)
        if token.token_type is TokenType.R_PAREN:
            break
        if token.token_type not in (TokenType.L_PAREN, TokenType.COMMA):
            found.append(token.text.lower())
    return found


def _check_options(options: _Options, columns: Sequence[str]) -> None:
    if options.style and options.style not in STYLES:
        raise Failure("42601", f'unknown distribution style "{options.style}"')
    if len(options.dist) > 1:
        raise Failure("42601", "only one column can be the distribution key")
    if options.style == "key" and not options.dist:
        raise Failure("42601", "DISTSTYLE KEY needs a DISTKEY")
    if options.dist and options.style not in ("", "key"):
        raise Failure("42601", f"DISTSTYLE {options.style.upper()} takes no DISTKEY")
    if len(options.sort) > MAX_SORT_KEYS or len(columns) > MAX_COLUMNS:
        raise Failure("54011", "too many columns")
    for name in (*options.dist, *options.sort):
        if name not in columns and name != "auto":
            raise Failure("42703", f'column "{name}" named in key does not exist')


def _closing(tokens: Sequence[Token], opening: int) -> int:
    depth = 0
    for index in range(opening, len(tokens)):
        depth += {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}.get(tokens[index].token_type, 0)
        if not depth:
            return index
    raise Failure("42601", "syntax error at end of input")


def _items(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Split tokens at the commas outside of parentheses."""
    item: list[Token] = []
    depth = 0
    for token in tokens:
        depth += {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}.get(token.token_type, 0)
        if token.token_type is TokenType.COMMA and not depth:
            yield item
            item = []
        else:
            item.append(token)
    if item:
        yield item
