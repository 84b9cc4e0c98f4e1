"""docs/cli.md, errors.md, reliability.md and settings.md, made from the code itself: `make docs` writes them.
That they are as written is tested in project/test_documents.py; what is written by hand is not touched here."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
import yaml
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from scx_pipeline.alerts.advice import WHY
from scx_pipeline.cli.main import app
from scx_pipeline.services import preflight
from scx_pipeline.settings import Settings
from tools.reliability import reliability_page

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

    files = (ROOT / "dagster.yaml", ROOT / "deploy" / "dagster" / "workspace.yaml")
    found = (preflight.named_variables(yaml.safe_load(file.read_text("utf-8"))) for file in files)
    return {name for of_file in found for _, name in of_file}


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


@dataclass(frozen=True)
class Refusal:
    """A class of errors, as its module declares it."""

    base: str
    meaning: str
    kind: str | None


def errors_page() -> str:
    """Every message with which the project refuses something, by kind; … stands for what differs."""
    trees = [ast.parse(path.read_text("utf-8")) for path in sorted((ROOT / "scx_pipeline").rglob("*.py"))]
    known = _refusals(trees)
    messages: dict[str, set[str]] = {name: set() for name in known}
    for tree in trees:
        for name, message in _raised(tree):
            if name in known:
                messages[name].add(message)
    parts = [
        MADE + "# Messages\n\nEach says what is wrong and what to do; … stands for what differs. By kind, "
        "what to look at first: [operate.md](operate.md)."
    ]
    for name in sorted(known):
        guide = _guide(name, known)
        parts.append(f"## {name}\n\n{known[name].meaning} What to do: [{guide}](operate.md#{guide}).")
        parts.append("\n".join(f"- {message}" for message in sorted(messages[name])))
    return "\n\n".join(part for part in parts if part) + "\n"


def _refusals(trees: list[ast.Module]) -> dict[str, Refusal]:
    """PipelineError and what is derived from it, wherever."""
    found = {
        node.name: _refusal(node)
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }

    def ours(name: str) -> bool:
        return name == "PipelineError" or (name in found and ours(found[name].base))

    return {name: item for name, item in found.items() if ours(name) and not name.startswith("_")}


def _refusal(node: ast.ClassDef) -> Refusal:
    base = node.bases[0].id if node.bases and isinstance(node.bases[0], ast.Name) else ""
    kinds = [
        part.value.value
        for part in node.body
        if isinstance(part, ast.AnnAssign)
        and isinstance(part.value, ast.Constant)
        and ast.unparse(part.target) == "kind"
    ]
    meaning = (ast.get_docstring(node) or "").split("\n\n")[0]
    return Refusal(base, " ".join(meaning.split()), str(kinds[0]) if kinds else None)


def _guide(name: str, known: dict[str, Refusal]) -> str:
    """The handbook's section about a class of errors: its own, or that of what it is derived from."""
    kind = known[name].kind
    if kind is None:
        return _guide(known[name].base, known)
    return "alerts" if kind == "alert" else WHY[kind].anchor


def _raised(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """The errors that a module raises or makes with a text of its own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
            text = _text(node.args[0])
            if len(text.replace("…", "").strip()) > 8:
                yield node.func.id, " ".join(text.split()).replace("<", "\\<")


def _text(node: ast.expr) -> str:
    """What an expression says, as far as it stands there."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) if isinstance(part, ast.Constant) else "…" for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    return "…"


PAGES: dict[str, Callable[[], str]] = {
    "errors.md": errors_page,
    "cli.md": cli_page,
    "settings.md": settings_page,
    "reliability.md": lambda: MADE + reliability_page(),
}

if __name__ == "__main__":
    for file, page in PAGES.items():
        (DOCS / file).write_text(page(), "utf-8")
