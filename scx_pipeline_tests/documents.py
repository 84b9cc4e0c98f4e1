"""docs/cli.md and docs/settings.md, made from the command and the settings themselves: `make docs` writes them.
That they are as written is tested in cli/test_documents.py; what is written by hand is not touched here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer
import yaml
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from scx_pipeline.cli import app
from scx_pipeline.settings import Settings

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
MADE = "<!-- Made by `make docs`; what is changed here by hand is lost. -->\n\n"
GROUPS: dict[str, Callable[[str], bool]] = {
    "Where things are": lambda name: name in ("home", "bucket_url", "warehouse_url", "lake_url", "ui_url"),
    "Spark": lambda name: name.startswith("spark"),
    "Alerts ([alerts.md](alerts.md))": lambda name: name.startswith("alert_"),
    "What is kept ([maintain.md](maintain.md))": lambda name: name.startswith("keep_"),
    "Runs and sensors": lambda name: True,
}
OTHERS = {
    "DAGSTER_HOME": "where Dagster's instance is, a folder with a dagster.yaml; default: $SCX_HOME/dagster, made on first use",
    "TMPDIR": "where a load into PostgreSQL keeps its typed rows until its end: room for about as much as its CSV files",
    "AWS_ENDPOINT_URL": "another S3 server than AWS's, such as http://127.0.0.1:8333",
    "AWS_PROFILE, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, …": "AWS's own settings; without keys, the machine's role counts",
    "PGSSLMODE, PGSSLROOTCERT": "libpq's own: verify-full, and the authority's certificate, for Dagster's database and a PostgreSQL warehouse",
}
OF_THE_INSTANCE = {
    "DAGSTER_POSTGRES_HOST": "where Dagster's own database is, such as db.example.com",
    "DAGSTER_POSTGRES_PORT": "its port, such as 5432",
    "DAGSTER_POSTGRES_USER": "its user, such as dagster",
    "DAGSTER_POSTGRES_PASSWORD": "the user's password, from a secret store",
    "DAGSTER_POSTGRES_DB": "its name, such as dagster",
    "DAGSTER_LOGS_BUCKET": "the bucket for what runs print, such as scx-dagster-logs",
    "SCX_CODE_HOST": "where UI and daemon find the code server, such as code.example.com",
    "SCX_CODE_PORT": "its port, such as 4000",
}


def cli_page() -> str:
    """Every command with its arguments, options and example."""
    from typer.cli import get_docs_for_click

    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command, info_name="scx"), name="scx")
    plain = re.sub(r"\[/?(?:bold|dim)\]", "", text)
    return MADE + re.sub(r"\n{3,}", "\n\n", plain).strip() + "\n"


def settings_page() -> str:
    """Every setting with its default and an example, and the variables of others that count."""
    parts = [
        MADE
        + "# Settings\n\nAll from the environment. A malformed one stops a command, a run or a service with one line."
    ]
    left = dict(Settings.model_fields)
    for title, belongs in GROUPS.items():
        rows = [_row(name, left.pop(name)) for name in list(left) if belongs(name)]
        parts.append(_table(title, ("setting", "default", ""), rows))
    parts.append(_table("Of others", ("variable", ""), OTHERS.items()))
    parts.append(
        _table(
            "Of a deployment: what dagster.yaml and deploy/dagster/workspace.yaml name",
            ("variable", ""),
            OF_THE_INSTANCE.items(),
        )
        + "\n\nNone of these has a default; `scx serve` says which is missing."
    )
    return "\n\n".join(parts) + "\n"


def named_variables() -> set[str]:
    """The variables that the files of Dagster's instance name."""

    def found(part: Any) -> Iterator[str]:
        if isinstance(part, dict):
            if set(part) == {"env"}:
                yield part["env"]
            for value in part.values():
                yield from found(value)
        elif isinstance(part, list):
            for value in part:
                yield from found(value)

    files = (ROOT / "dagster.yaml", ROOT / "deploy" / "dagster" / "workspace.yaml")
    return {name for file in files for name in found(yaml.safe_load(file.read_text("utf-8")))}


def _row(name: str, field: FieldInfo) -> tuple[str, ...]:
    default = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    shown = f"{default:g}" if isinstance(default, float) else str(default)
    secret = " (secret)" if field.annotation is SecretStr else ""
    return f"SCX_{name.upper()}", f"`{shown}`" if shown else "", f"{field.description}{secret}"


def _table(title: str, head: tuple[str, ...], rows: Any) -> str:
    lines = [f"## {title}\n", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for name, *rest in rows:
        cells = [part.replace("|", "\\|") for part in rest]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


PAGES = {"cli.md": cli_page, "settings.md": settings_page}

if __name__ == "__main__":
    for file, page in PAGES.items():
        (DOCS / file).write_text(page(), "utf-8")
