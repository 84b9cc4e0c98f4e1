"""The errors that users see, each with one clear message that names the file, line, table, month or setting.

Logic does not belong here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class PipelineError(Exception):
    """A mistake or condition that the user can act on, shown as its message without a traceback.

    `kind` describes the error where its message must not appear: alerts are sent to third parties.
    """

    kind: ClassVar[str] = "request"


class DeclarationError(PipelineError):
    """A star's YAML or SQL is invalid; the message names the file and the line."""

    kind: ClassVar[str] = "declaration"


class SettingsError(PipelineError):
    """A setting is missing or malformed; the message names the setting and an example."""

    kind: ClassVar[str] = "settings"


class BucketError(PipelineError):
    """The bucket cannot be listed or an object cannot be read; the message names the URL or the key."""

    kind: ClassVar[str] = "bucket"


class SourceFileError(PipelineError):
    """A source file cannot be read as declared; the message names the file, and the line if there is one.

    `key` is the object's key, by which the months that the object may hold rows of are found. Code that reads bytes without
    knowing whose they are leaves it empty, and the parser sets it. `report` is that of the load, once it has failed, and
    `others` are the errors of its other unreadable files.
    """

    kind: ClassVar[str] = "source_file"
    report: object | None = None
    others: Sequence[SourceFileError] = ()

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key


class WarehouseError(PipelineError):
    """The warehouse cannot be reached, locked, read or written; the message names it, never its password."""

    kind: ClassVar[str] = "warehouse"


class IncompleteRebuildError(WarehouseError):
    """Tables must be rebuilt from all months in one load, and the load does not build all of them."""


class WarehouseBusyError(WarehouseError):
    """Another run is writing to the warehouse and did not finish in time."""

    kind: ClassVar[str] = "busy"


class LakeError(PipelineError):
    """The lake cannot be read or written; the message names the URL, the table or the setting."""

    kind: ClassVar[str] = "lake"


class CheckFailedError(PipelineError):
    """A blocking check failed, so the months that violate it were not published.

    `report` contains the result of every check, and which months were published nevertheless.
    """

    kind: ClassVar[str] = "blocking_check"

    def __init__(self, message: str, report: object) -> None:
        super().__init__(message)
        self.report = report


class AlertError(PipelineError):
    """A channel rejected an alert; the message contains its response, never its address."""

    kind: ClassVar[str] = "alert"
