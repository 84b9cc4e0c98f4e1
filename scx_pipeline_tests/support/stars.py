"""A copy of a real star's folder that tests change and load again.

Expected messages belong to the tests.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.star_folder import DECLARATION, load_star, stars_folder
from scx_pipeline.errors import DeclarationError

USERS_SQL = """\
SELECT
    user_id,
    email_encrypted,
    plan_id,
    updated_at,
    job_id,
    created_at
FROM staging_cleansed_logs"""


@dataclass(frozen=True)
class StarCopy:
    """A star's folder that a test may change."""

    folder: Path

    @classmethod
    def of(cls, star: str, parent: Path) -> StarCopy:
        return cls(Path(shutil.copytree(stars_folder() / star, parent / star)))

    def path(self, name: str) -> Path:
        return self.folder / name

    def write(self, name: str, text: str) -> None:
        self.path(name).write_text(text, "utf-8")

    def replace(self, old: str, new: str, name: str = DECLARATION) -> int:
        """Replace the first occurrence of a text, which must exist; return its line number."""
        text = self.path(name).read_text("utf-8")
        assert old in text, f"{old!r} is not in {name}"
        self.write(name, text.replace(old, new, 1))
        return text[: text.index(old)].count("\n") + 1

    def load(self) -> CompiledStar:
        return load_star(self.folder)

    def mistake(self) -> str:
        """Return the error of the star, without its folder."""
        with pytest.raises(DeclarationError) as caught:
            self.load()
        message = str(caught.value)
        assert message.startswith(str(self.folder))
        assert "\n" not in message
        return message.removeprefix(f"{self.folder}").removeprefix("/")


def with_sources(compiled: CompiledStar, **values: object) -> CompiledStar:
    """Return a star with these values in the declaration of each source."""
    sources = tuple(source.model_copy(update=values) for source in compiled.star.sources)
    return replace(compiled, star=compiled.star.model_copy(update={"sources": sources}))
