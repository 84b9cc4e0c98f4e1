"""Guess the types of columns from their texts, by the very rules that a load rejects values by.

A type is taken only if no text of the samples breaks its rules.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from scx_pipeline.inference.guess import Guess
from scx_pipeline.inference.samples import TEXT, Field, Samples
from scx_pipeline.inference.time_forms import DATES, LOG_TIMES, TIMES, matching_forms, swap_day_and_month
from scx_pipeline.model.column import Column
from scx_pipeline.model.count_text import count_of
from scx_pipeline.model.dialect import Dialect
from scx_pipeline.parsing.csv.dialect_texts import DialectTexts
from scx_pipeline.warehouse.sql_text import quote, string_literal

NULL_TEXTS = ("", "NULL", "null", "NA", "N/A", "n/a", "-", "\\N", "None", "NaN", "nan", "?")
# Those that are not known without a declaration.
BOOLEANS = (
    ("ja", "nein"), ("Ja", "Nein"), ("JA", "NEIN"), ("J", "N"), ("oui", "non"), ("si", "no"), ("wahr", "falsch"),
    ("WAHR", "FALSCH"),
)  # fmt: skip
NUMBER_FORMS = (
    (".", None),
    (",", None),
    (",", "."),
    (".", ","),
    (".", "'"),
    (",", " "),
    (".", " "),
    (",", "\u00a0"),
    (",", "\u202f"),
)
MAX_DECIMAL_PLACES = 4  # of a number that is read as a decimal; a measured value with more is a double
MAX_SCALE = 18
NEAR_SHARE = 0.9  # of the texts that fit a type, from which on it is mentioned
TEXT_BYTES = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
# Of counts since 1970: the years from 2000 to 2100 in each unit.
EPOCHS = {
    "seconds": (946_684_800, 4_102_444_800),
    "milliseconds": (946_684_800_000, 4_102_444_800_000),
    "microseconds": (946_684_800_000_000, 4_102_444_800_000_000),
}
_EPOCH_NAME = re.compile(r"(^|_)(ts|time|timestamp|epoch|at|date|registration|since|created|updated)(_|$)")


class TypeGuesser:
    """Guesses the columns of samples, and the forms of their numbers, booleans and nulls that the source declares."""

    def __init__(self, samples: Samples, dialect: Dialect, *, has_forms: bool) -> None:
        """Guess what all columns share.

        Args:
            samples: The samples.
            dialect: The dialect of their files.
            has_forms: Whether the format's declaration can say how numbers, times and booleans are written.
        """
        self.samples, self.guesses, self.has_forms = samples, list[Guess](), has_forms
        present = {
            text
            for field in samples.fields
            for text in NULL_TEXTS
            if samples.find(field, f"t = {string_literal(text)}")
        }
        self.null_values = tuple(text for text in NULL_TEXTS if text in present)
        self.dialect = dialect
        if has_forms:
            has_blanks = any(samples.find(field, "trim(t) <> t") for field in samples.fields)
            self.dialect = dialect.model_copy(update={"trim": has_blanks})
            self._choose_number_form()
            self._choose_booleans()

    def guess_columns(self) -> list[Column]:
        """Return the column of every field, and set `null_values` to those that they need."""
        columns = [self._guess_column(field) for field in self.samples.fields]
        needed = {
            text
            for field, column in zip(self.samples.fields, columns, strict=True)
            if column.max_bytes is None
            for text in self.null_values
            if self.samples.find(field, f"t = {string_literal(text)}")
        }
        self.null_values = tuple(text for text in self.null_values if text in needed)
        return columns

    def fits(self, field: Field, column: Column, dialect: Dialect | None = None) -> bool:
        """Return whether the parser would accept every text of the field in such a column."""
        rows, broken = self._typed(field, column, dialect or self.dialect)
        return not self.samples.con.execute(f"SELECT 1 FROM ({rows}) WHERE {broken} LIMIT 1").fetchone()

    def _typed(self, field: Field, column: Column, dialect: Dialect) -> tuple[str, str]:
        """Return the SELECT of the field's typed rows, and the condition of those that are rejected."""
        texts = DialectTexts([column], dialect)
        source = f"(SELECT {field.texts} AS {quote(column.name)}, 0 AS n FROM {self.samples.table})"
        broken = " OR ".join(condition for condition, _, _ in texts.rules) or "FALSE"
        return texts.select_typed(source, "n", self.null_values), broken

    def _guess_column(self, field: Field) -> Column:
        base = Column(
            name=field.column,
            field=field.name if field.name != field.column else None,
            type="varchar(max)",
            description=field.name,
        )
        values = [text.strip() for text in self.samples.values(field)]
        values = [text for text in values if text not in self.null_values]
        for candidate in self._candidates(field, base, values) if values else ():
            if self.fits(field, candidate):
                self._note_ambiguity(field, candidate)
                return candidate
        self._note_near_type(field, base, values)
        return base.model_copy(update={"type": self._text_type(field)})

    def _candidates(self, field: Field, base: Column, values: Sequence[str]) -> Iterator[Column]:
        def column(**changes: object) -> Column:
            return Column.model_validate({**base.model_dump(), **changes})

        if field.kind == TEXT:
            return
        if field.kind not in (None, "number"):
            yield column(type=field.kind)
            return
        if field.kind is None:
            if {text.lower() for text in values} - {"0", "1"}:
                yield column(type="boolean")
            yield from (column(**found) for found in self._time_candidates(field, values))
        if _EPOCH_NAME.search(field.column):
            for unit, (first, last) in EPOCHS.items():
                if self._all(field, f"TRY_CAST(t AS DOUBLE) BETWEEN {first} AND {last}"):
                    yield column(type="timestamp", unit=unit)
        if self.samples.find(field, "regexp_full_match(t, ' *[+-]?0[0-9]+ *')"):
            return  # a code, such as a postal code
        yield column(type="integer")
        yield column(type="bigint")
        # A double has 15 digits: what has more, such as a long id, is a decimal or a text.
        is_short = self._all(field, "length(regexp_replace(t, '[^0-9]', '', 'g')) <= 15")
        places = self._most_decimal_places(field)
        may_be_double = is_short and field.kind == "number"
        if not may_be_double and places <= (MAX_DECIMAL_PLACES if is_short else MAX_SCALE):
            yield column(type=f"decimal({18 if is_short else 38},{places})")
        if is_short or field.kind == "number":
            yield column(type="double")

    def _all(self, field: Field, condition: str) -> bool:
        """Return whether every text that is not NULL meets a condition over `t`."""
        nulls = ", ".join(map(string_literal, ("", *self.null_values)))
        return not self.samples.find(field, f"trim(t) NOT IN ({nulls}) AND NOT COALESCE({condition}, FALSE)")

    def _most_decimal_places(self, field: Field) -> int:
        mark = string_literal(self.dialect.decimal)
        [(places,)] = self.samples.con.execute(
            f"SELECT max(length(trim({field.texts})) - instr(trim({field.texts}), {mark}))"
            f" FROM {self.samples.table} WHERE contains({field.texts}, {mark})"
        ).fetchall()
        return int(places or 0)

    def _note_near_type(self, field: Field, base: Column, values: Sequence[str]) -> None:
        """Add a guess if most texts would fit another type, but not all."""
        shapes = [re.sub("[0-9]", "9", text) for text in values]
        [(common, _)] = Counter(shapes).most_common(1) or [("", 0)]
        usual = [text for text, shape in zip(values, shapes, strict=True) if shape == common]
        for candidate in self._candidates(field, base, usual) if usual else ():
            share = self._share(field, candidate)
            if share >= NEAR_SHARE:
                form = candidate.date_format or candidate.timestamp_format
                what = f"{candidate.type}{f' ({form})' if form else ''}"
                reason = f"some texts are not {what}: correct them, or declare it with a reject_limit"
                self.guesses.append(Guess(base.name, f"text, and not {what}", reason, share))
                return

    def _share(self, field: Field, column: Column) -> float:
        """Return the share of texts that the parser would accept in such a column."""
        rows, broken = self._typed(field, column, self.dialect)
        [(share,)] = self.samples.con.execute(
            f"SELECT avg(CASE WHEN {broken} THEN 0 ELSE 1 END) FROM ({rows})"
        ).fetchall()
        return float(share or 0)

    def _time_candidates(self, field: Field, values: Sequence[str]) -> Iterator[dict[str, object]]:
        is_compact = self._all(field, "regexp_full_match(trim(t), '(19|20)[0-9]{6}')")
        for form in self._in_likely_order(matching_forms(DATES if self.has_forms else (), values)):
            if form != "%Y%m%d" or is_compact:
                yield {"type": "date", "date_format": form}
        yield {"type": "date"}
        yield {"type": "timestamp"}
        forms = [
            f"{day}{gap}{time}{zone}"
            for day in DATES
            for gap in (" ", "T", ", ", "")
            for time in TIMES
            for zone in ("", "%z", " %z")
        ]
        for form in self._in_likely_order(
            matching_forms([*LOG_TIMES, *forms] if self.has_forms else (), values)
        ):
            yield {"type": "timestamp", "timestamp_format": form}

    def _note_ambiguity(self, field: Field, column: Column) -> None:
        """Add a guess if the values would fit as well with day and month the other way round."""
        for name, form in (
            ("date_format", column.date_format),
            ("timestamp_format", column.timestamp_format),
        ):
            other = swap_day_and_month(form or "")
            if form and other != form and self.fits(field, column.model_copy(update={name: other})):
                reason = f"no value decides between this and {other}: every day is at most 12"
                self.guesses.append(Guess(column.name, form, reason, 0.0))

    def _in_likely_order(self, forms: Sequence[str]) -> list[str]:
        """Return forms in the order of the likeliest: a file with semicolons or decimal commas is not American."""
        is_american = self.dialect.delimiter != ";" and self.dialect.decimal != ","
        unlikely = "%d" if is_american else "%m"
        return sorted(forms, key=lambda form: form.startswith(unlikely))

    def _text_type(self, field: Field) -> str:
        [(longest,)] = self.samples.con.execute(
            f"SELECT max(strlen({field.texts})) FROM {self.samples.table}"
        ).fetchall()
        return next((f"varchar({size})" for size in TEXT_BYTES if size >= 2 * (longest or 1)), "varchar(max)")

    def _choose_number_form(self) -> None:
        fields = [field for field in self.samples.fields if field.kind is None]
        counts = []
        for decimal, thousands in NUMBER_FORMS:
            dialect = self.dialect.model_copy(update={"decimal": decimal, "thousands": thousands})
            numeric = [field for field in fields if self._is_numeric(field, dialect)]
            counts.append(len(numeric))
        best = max(range(len(counts)), key=lambda place: (counts[place], -place))
        best = self._with_likely_groups(
            best, [place for place in range(len(counts)) if counts[place] == counts[best]]
        )
        decimal, thousands = NUMBER_FORMS[best]
        self.dialect = self.dialect.model_copy(update={"decimal": decimal, "thousands": thousands})
        if best:
            reason = f"{count_of(counts[best], 'column')} can be read as numbers so"
            self.guesses.append(Guess("numbers", f"as 1{thousands or ''}234{decimal}5", reason))

    def _with_likely_groups(self, best: int, equal: Sequence[int]) -> int:
        """Return the likelier of the forms that fit as well, if three digits follow every mark: 1,234 is a thousand in English."""
        decimal, _ = NUMBER_FORMS[best]
        others = [place for place in equal if NUMBER_FORMS[place][1] == decimal]
        mark = re.escape(decimal)
        in_groups = f"regexp_full_match(trim(t), '[+-]?[0-9]{{1,3}}({mark}[0-9]{{3}})+')"
        marked = [
            field
            for field in self.samples.fields
            if field.kind is None and self.samples.find(field, in_groups)
        ]
        if not others or not marked:
            return best
        is_group = (decimal == ",") != (self.dialect.delimiter == ";")
        decision = others[0] if is_group else best
        meaning = "a thousand and more" if is_group else "one and a fraction"
        reason = f"no value decides whether {decimal!r} is before decimals or between groups of three digits"
        self.guesses.append(Guess(marked[0].column, f"1{decimal}234 is {meaning}", reason, 0.0))
        return decision

    def _is_numeric(self, field: Field, dialect: Dialect) -> bool:
        column = Column(name=field.column, type="double", description="")
        return self.samples.find(field, "regexp_matches(t, '[0-9]')") and self.fits(field, column, dialect)

    def _choose_booleans(self) -> None:
        for field in self.samples.fields:
            values = {text.strip() for text in self.samples.values(field, 20)} - set(self.null_values)
            for pair in BOOLEANS if field.kind is None and len(values) == 2 else ():
                if values == set(pair):
                    listed = {"true_values": (pair[0],), "false_values": (pair[1],)}
                    self.dialect = self.dialect.model_copy(update=listed)
                    return
