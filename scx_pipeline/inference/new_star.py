"""Write the folder of a star that fits sample files.

Loading it belongs to the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from scx_pipeline.declarations.star_folder import load_star
from scx_pipeline.errors import DeclarationError
from scx_pipeline.inference.guess import Choices
from scx_pipeline.inference.proposal import NOTHING_CHOSEN, Proposal, propose_star
from scx_pipeline.inference.sample_files import SampleFiles, find_sample_files
from scx_pipeline.inference.star_folder_files import StarFolderFiles
from scx_pipeline.model.declaration import find_name_problem
from scx_pipeline.settings import Settings
from scx_pipeline.storage.bucket import create_bucket
from scx_pipeline.warehouse.capabilities import Limits
from scx_pipeline.warehouse.duckdb.duckdb_connection import in_memory_database


def propose(star: str, found: SampleFiles, choices: Choices, settings: Settings) -> Proposal:
    """Read sample files and propose a star.

    Raises:
        BucketError: A file cannot be read.
        SourceFileError: The files are not of one format, or of none.
        DeclarationError: A chosen column does not exist, or cannot be what it is chosen for.
    """
    limits = Limits(settings.memory_limit, settings.threads)
    with found.bucket.fetch_files([found.objects]) as batches, in_memory_database(limits) as con:
        return propose_star(con, star, next(batches), found.keys, choices)


def check_name(name: str) -> None:
    """Raise DeclarationError for a text that cannot name a star and its schema."""
    if problem := find_name_problem(name):
        raise DeclarationError(f"the name of a star and its schema: {problem}")


def write_star(folder: Path, schema: str, proposal: Proposal, url: str | None) -> None:
    """Write the files of a proposed star if they are valid; `url` is that of its files, unless they are in the bucket.

    Raises DeclarationError for names that cannot be used together, and leaves nothing then.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".new-", dir=folder.parent) as spool:
        written = Path(spool) / folder.name
        for path, text in StarFolderFiles(folder.name, schema, proposal, url).create().items():
            (written / path).parent.mkdir(parents=True, exist_ok=True)
            (written / path).write_text(text, "utf-8")
        load_star(written)
        written.rename(folder)


def propose_folder(folder: Path, names: Sequence[str], settings: Settings) -> Proposal:
    """Propose a star that is named as a folder from sample files, and write it. Raises PipelineError as `propose` does."""
    found = find_sample_files(names, settings.bucket)
    proposal = propose(folder.name, found, NOTHING_CHOSEN, settings)
    write_star(folder, folder.name, proposal, url_of(found, settings))
    create_default_bucket(settings)
    return proposal


def create_default_bucket(settings: Settings) -> None:
    """Create the bucket of the settings if it is the default: a load opens it, even if the star's files are elsewhere."""
    if not settings.bucket_url:
        create_bucket(settings.bucket)


def url_of(found: SampleFiles, settings: Settings) -> str | None:
    """Return the URL of the files' bucket; None if it is that of the settings."""
    return None if found.url == settings.bucket.rstrip("/") else found.url
