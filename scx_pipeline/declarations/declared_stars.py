"""The declared stars: those of the folders that SCX_STARS names, or the samples that come with the package.

Reading one star's folder does not belong here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from scx_pipeline.declarations.compiled_star import CompiledStar
from scx_pipeline.declarations.star_folder import (
    DECLARATION,
    StarOutline,
    load_star,
    read_outline,
    stars_folder,
)
from scx_pipeline.errors import DeclarationError, SettingsError
from scx_pipeline.settings import read_settings

SAMPLES = "samples"  # in SCX_STARS, the folder of the package's own stars


def star_names() -> list[str]:
    """Return the names of the declared stars."""
    return list(declared_stars())


def declared_stars() -> Mapping[str, Path]:
    """Return the folder of each declared star, by name. Raises PipelineError as `find_stars` does."""
    names = [name for name in read_settings().stars.split(os.pathsep) if name]
    return find_stars([stars_folder() if name == SAMPLES else Path(name) for name in names or [SAMPLES]])


def load_declared_stars() -> list[CompiledStar]:
    """Load all declared stars. Raises PipelineError for the first mistake."""
    return [load_star(folder) for folder in declared_stars().values()]


def find_stars(folders: Iterable[Path]) -> dict[str, Path]:
    """Return the folder of each star in these folders, by name, in alphabetical order. A declaration need not be valid yet.

    Raises:
        SettingsError: if a folder does not exist, or holds no star.
        DeclarationError: if two stars have one name or a table in common, or a star is not named as its folder.
    """
    found: dict[str, StarOutline] = {}
    for folder in dict.fromkeys(path.expanduser().absolute() for path in folders):
        for outline in _outlines(folder):
            name = outline.path.parent.name
            if name in found:
                raise DeclarationError(
                    f"{outline.path}: the star {name} is also declared in {found[name].path}: rename one of them"
                )
            found[name] = outline
    _check_tables(found.values())
    return {name: found[name].path.parent for name in sorted(found)}


def _outlines(folder: Path) -> list[StarOutline]:
    if not folder.is_dir():
        raise SettingsError(
            f"the folder of stars {folder} does not exist: set SCX_STARS to folders in which each star has a folder with a {DECLARATION}"
        )
    outlines = [read_outline(path) for path in sorted(folder.glob(f"*/{DECLARATION}"))]
    stars = [outline for outline in outlines if outline.is_star]
    if not stars:
        hint = f"it is a star: name its parent, {folder.parent}" if (folder / DECLARATION).exists() else ""
        raise SettingsError(
            f"the folder {folder} holds no star: "
            + (hint or f"each star is a folder in it, with a {DECLARATION} (docs/stars.md)")
        )
    for outline in stars:
        if outline.name not in (None, outline.path.parent.name):
            raise DeclarationError(
                f"{outline.path}{outline.at('name')}: the star is named {outline.name}, but its folder {outline.path.parent.name}: "
                "rename one of them"
            )
    return stars


def _check_tables(outlines: Iterable[StarOutline]) -> None:
    """Two stars must not have a table in common: each load would replace the rows of the other."""
    owners: dict[str, StarOutline] = {}
    for outline in outlines:
        for number, table in enumerate(outline.tables):
            other = owners.setdefault(table, outline)
            if other is not outline:
                raise DeclarationError(
                    f"{outline.path}{outline.at('tables', number)}: the table {table} is also declared in "
                    f"{other.path}{other.at('tables', other.tables.index(table))}: give one of the stars another schema, or rename a table"
                )
