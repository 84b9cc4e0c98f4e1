"""The errors a user can meet: one clear message each, naming the file, line, table, month or setting.
No logic lives here, and no error of a library passes for one of these without a reason of its own."""


class PipelineError(Exception):
    """A mistake or condition the user can act on; shown as its message alone, without a traceback."""


class DeclarationError(PipelineError):
    """A star's YAML or SQL is wrong; the message names the file and the line."""


class SettingsError(PipelineError):
    """A setting is missing or malformed; the message names the setting and an example."""


class BucketError(PipelineError):
    """The bucket cannot be listed or an object cannot be read; the message names the URL or the key."""


class SourceFileError(PipelineError):
    """A source file cannot be read as declared; the message names the file, and the line where there is one."""


class WarehouseError(PipelineError):
    """The warehouse cannot be reached, locked, read or written; the message names it, never its password."""


class LakeError(PipelineError):
    """The lake cannot be written or read; the message names the URL, the table or the setting."""


class GateError(PipelineError):
    """A blocking check failed, so nothing was published; `report` holds every check's result."""

    def __init__(self, message: str, report: object) -> None:
        super().__init__(message)
        self.report = report
