"""Write a CSV file as UTF-8 with doubled quotes and without the lines that its dialect skips, for readers that know no others.

A line that is skipped stays as a blank line, so that the numbers of the other lines are those of the file.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import IO

from scx_pipeline.errors import SourceFileError
from scx_pipeline.model.dialect import Dialect
from scx_pipeline.parsing.csv.byte_scan import MAX_RECORD_BYTES, count_line_ends
from scx_pipeline.parsing.csv.record_scanner import read_blocks
from scx_pipeline.storage.local_file import LocalFile, open_local_file

MAX_LINE_BYTES = 4 * MAX_RECORD_BYTES  # of a title or a comment, which may be longer than a record
_LINE = re.compile(rb"[^\r\n]*+(\r\n|\n|\r)")


def needs_plain_copy(dialect: Dialect) -> bool:
    """Return whether files of the dialect can be read only from a copy."""
    return not dialect.is_utf8 or bool(
        dialect.skip_lines or dialect.skip_footer or dialect.comment or dialect.escape
    )


def write_plain_copy(file: LocalFile, uri: str, dialect: Dialect) -> None:
    """Write a decompressed, plain copy of a file at its `copy_path`, to be read instead; nothing happens if it is read already.

    Raises SourceFileError for a file that is damaged or, with the line, not in the encoding of the dialect.
    """
    if file.path == file.copy_path:
        return
    with open_local_file(file, uri) as source, file.copy_path.open("wb") as target:
        blocks = read_blocks(source) if dialect.is_utf8 else _decode(source, dialect.encoding, uri)
        if needs_plain_copy(dialect):
            lines = _skip_lines(_whole_lines(blocks, uri), dialect.skip_lines, uri)
            blocks = _skip_footer(lines, dialect, uri)
            if dialect.comment or dialect.escape:
                blocks = _Tokens(dialect).rewrite(blocks)
        target.writelines(blocks)
    file.path, file.suffix = file.copy_path, ""


def _decode(stream: IO[bytes], encoding: str, uri: str) -> Iterator[bytes]:
    """Yield the bytes of a file in UTF-8."""
    decoder, line, is_first = codecs.getincrementaldecoder(encoding)(), 1, True
    while True:
        block = stream.read(1 << 20)
        state = decoder.getstate()
        try:
            decoded = decoder.decode(block, final=not block)
        except UnicodeError as error:
            decoder.setstate(state)
            start = getattr(error, "start", 0) - len(state[0])
            line += count_line_ends(good := decoder.decode(block[: max(start, 0)]).encode(), len(good))
            raise SourceFileError(
                f"{uri}, line {line}: not {encoding}; correct the encoding in the source's dialect, or the file"
            ) from None
        text = (decoded.removeprefix("\ufeff") if is_first else decoded).encode()
        line += count_line_ends(text, len(text))
        is_first = is_first and not text
        if text:
            yield text
        if not block:
            return


def _whole_lines(blocks: Iterable[bytes], uri: str) -> Iterator[bytes]:
    """Yield the blocks with boundaries between lines. Raises SourceFileError for a line that is longer than any record."""
    rest, line = b"", 1
    for block in blocks:
        rest += block
        # A carriage return at the end may be the first half of a line end.
        end = max(rest.rfind(b"\n"), rest.rfind(b"\r", 0, len(rest) - 1)) + 1
        if end:
            line += count_line_ends(rest, end)
            yield rest[:end]
            rest = rest[end:]
        if len(rest) > MAX_LINE_BYTES:
            raise SourceFileError(
                f"{uri}, line {line}: the line is longer than {MAX_LINE_BYTES:,} bytes; correct the file and upload it again"
            )
    if rest:
        yield rest


def _skip_lines(chunks: Iterable[bytes], count: int, uri: str) -> Iterator[bytes]:
    """Leave only the line ends of the first lines. Raises SourceFileError if a file with content has no others."""
    missing, has_content = count, False
    for chunk in chunks:
        kept, start = [], 0
        while missing and (line := _LINE.match(chunk, start)):
            kept.append(line[1])
            start, missing = line.end(), missing - 1
        if missing and start < len(chunk):  # the last line of the file, without a line end
            start, missing = len(chunk), missing - 1
        has_content = has_content or bool(chunk.strip())
        yield b"".join((*kept, chunk[start:]))
    if missing and has_content:
        raise SourceFileError(
            f"{uri}: has fewer lines than the skip_lines of its dialect, {count}; correct either"
        )


def _skip_footer(chunks: Iterable[bytes], dialect: Dialect, uri: str) -> Iterator[bytes]:
    """Leave the last lines out, and blank lines among and after them.

    Raises SourceFileError if a file with content has fewer lines, or no header before them.
    """
    count = dialect.skip_footer
    if not count:
        yield from chunks
        return
    tail: list[bytes] = []
    others = missing = 0
    for chunk in chunks:
        tail += chunk.splitlines(keepends=True)
        missing, first = count, len(tail)
        while missing and first:
            first -= 1
            missing -= bool(tail[first].strip())
        others += sum(bool(line.strip()) for line in tail[:first])
        yield b"".join(tail[:first])
        del tail[:first]
    if any(line.strip() for line in tail) and (missing or (dialect.header is True and not others)):
        raise SourceFileError(
            f"{uri}: has no lines before the skip_footer of its dialect, {count}; correct either"
        )


class _Tokens:
    """Finds quoted values and comments: comments become blank lines, and escaped quotes are written twice.

    A quote is opened only at the beginning of a value, and the text of a quoted value is never taken for a comment.
    """

    def __init__(self, dialect: Dialect) -> None:
        d, q, e = (re.escape(text or "") for text in (dialect.delimiter, dialect.quote, dialect.escape))
        tokens = [rf"(?<![^\r\n]){re.escape(dialect.comment)}[^\r\n]*+" if dialect.comment else "(?!)"]
        if dialect.quote:
            inner = f"(?:{e}.|{q}{q})[^{q}{e}]*+" if e else f"{q}{q}[^{q}]*+"
            tokens += [rf"(?<![^{d}\r\n])({q}[^{q}{e}]*+(?:{inner})*+{q})", rf"(?<![^{d}\r\n])({q}.*+)"]
        self.token = re.compile("|".join(tokens).encode(), re.DOTALL)
        self.escape = (dialect.escape or "").encode()
        self.escaped = re.compile(f"{e}({q}|{e})".encode())
        self.replacements = {dialect.quote.encode(): dialect.quote.encode() * 2, self.escape: self.escape}
        self.rest = b""  # from a quote on that is still open

    def rewrite(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the chunks of whole lines with their tokens replaced."""
        for chunk in chunks:
            text, self.rest = self.rest + chunk, b""
            if len(text) > 2 * MAX_RECORD_BYTES and len(text) > len(chunk):
                # The quote is never closed, which the reader reports, as long as no escaped quote looks like the closing one.
                yield self._unescape(text)
                yield from map(self._unescape, chunks)
                return
            yield self.token.sub(self._replace, text)
        yield self._unescape(self.rest)

    def _replace(self, token: re.Match[bytes]) -> bytes:
        if token.lastindex is None:
            return b""
        if token.lastindex == 2:
            self.rest = token[2]
            return b""
        return self._unescape(token[1])

    def _unescape(self, text: bytes) -> bytes:
        if not self.escape or self.escape not in text:
            return text
        return self.escaped.sub(lambda found: self.replacements[found[1]], text)
