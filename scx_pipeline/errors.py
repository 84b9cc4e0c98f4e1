"""The errors a user can meet: one clear message each, naming the file, line, table, month or setting.
No logic lives here, and no error of a library passes for one of these without a reason of its own."""

from typing import ClassVar


class PipelineError(Exception):
    """A mistake or condition the user can act on; shown as its message alone, without a traceback.

    `kind` is what may be told of it where its message may not be: an alert leaves the house.
    """

    kind: ClassVar[str] = "request"


class DeclarationError(PipelineError):
    """A star's YAML or SQL is wrong; the message names the file and the line."""

    kind: ClassVar[str] = "declaration"


class SettingsError(PipelineError):
    """A setting is missing or malformed; the message names the setting and an example."""

    kind: ClassVar[str] = "settings"


class BucketError(PipelineError):
    """The bucket cannot be listed or an object cannot be read; the message names the URL or the key."""

    kind: ClassVar[str] = "bucket"


class SourceFileError(PipelineError):
    """A source file cannot be read as declared; the message names the file, and the line where there is one."""

    kind: ClassVar[str] = "source_file"


class WarehouseError(PipelineError):
    """The warehouse cannot be reached, locked, read or written; the message names it, never its password."""

    kind: ClassVar[str] = "warehouse"


class WarehouseBusyError(WarehouseError):
    """Another run writes the warehouse, and did not come to its end in time."""

    kind: ClassVar[str] = "busy"


class LakeError(PipelineError):
    """The lake cannot be written or read; the message names the URL, the table or the setting."""

    kind: ClassVar[str] = "lake"


class CheckFailedError(PipelineError):
    """A blocking check failed, so nothing was published; `report` holds every check's result."""

    kind: ClassVar[str] = "gate"

    def __init__(self, message: str, report: object) -> None:
        super().__init__(message)
        self.report = report


class AlertError(PipelineError):
    """A channel did not take an alert; the message says how it answered, never its address."""

    kind: ClassVar[str] = "alert"
