"""What `dg scaffold defs scx_pipeline.StarSchema NAME` writes: a small star that loads, to be changed into one's own.

What a declaration may contain does not belong here.
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg
from pydantic import BaseModel, Field

from scx_pipeline.errors import DeclarationError
from scx_pipeline.inference.new_star import propose_folder
from scx_pipeline.model.calendar import Month
from scx_pipeline.model.declaration import find_name_problem
from scx_pipeline.settings import read_settings

_DECLARATION = """\
type: {type}
attributes:
  name: {name}  # the name of this folder
  description: What the star is about.
  schema: {name}
  first_month: {first_month}
  sources:
    - name: events
      description: One CSV file per month, {name}/YYYY-MM.csv in the bucket.
      format: csv
      prefix: {name}/
      files:
        - pattern: "{{year}}-{{month}}.csv"
      event_time: happened_at
  tables:
    - name: staging_events
      role: staging
      description: Events as read.
      source: events
      key: [event_id]
      event_time: happened_at
      columns:
        - {{name: event_id, type: bigint, nullable: false, description: The event.}}
        - {{name: customer, type: varchar(64), nullable: false, description: The customer.}}
        - {{name: country, type: varchar(2), description: "The customer's country at that time."}}
        - {{name: amount, type: "decimal(12,2)", description: The amount.}}
        - {{name: happened_at, type: timestamp, nullable: false, description: "When it happened, UTC."}}

    - name: customers
      role: dimension
      description: Customers, each as in its latest event.
      key: [customer]
      event_time: happened_at
      sequence_by: [happened_at, event_id]
      columns:
        - {{name: customer, type: varchar(64), nullable: false, description: The customer.}}
        - {{name: country, type: varchar(2), description: The latest country.}}

    - name: sales
      role: fact
      description: One row per event.
      key: [event_id]
      event_time: happened_at
      columns:
        - {{name: event_id, type: bigint, nullable: false, description: The event.}}
        - {{name: customer, type: varchar(64), nullable: false, references: customers, description: The customer.}}
        - {{name: amount, type: "decimal(12,2)", description: The amount.}}
        - {{name: happened_at, type: timestamp, nullable: false, description: "When it happened, UTC."}}
"""
_SQL = {
    "customers": "SELECT\n    customer,\n    country,\n    happened_at,\n    event_id\nFROM staging_events\n",
    "sales": "SELECT\n    event_id,\n    customer,\n    amount,\n    happened_at\nFROM staging_events\n",
}
_README = """\
# {name}

| table | grain | key |
|---|---|---|
| `sales` | an event | `event_id` |
| `customers` | a customer, as in the latest event | `customer` |

`defs.yaml` declares sources, tables and rules, `sql/` has a SELECT per dimension and fact. To try it, write this file into the bucket as
`{name}/{first_month}.csv`, then materialize the month in the UI, or run `scx load {name}`:

```csv
event_id,customer,country,amount,happened_at
1,ada,GB,10.00,{first_month}-05 10:00:00
```
"""


class StarScaffoldParams(BaseModel):
    """The options of `dg scaffold defs scx_pipeline.StarSchema`."""

    from_files: str | None = Field(
        None,
        description="Sample files to propose the star from: a file, a folder, a pattern, or an s3:// URL.",
    )


class StarScaffolder(dg.Scaffolder[StarScaffoldParams]):
    """Writes the files of a star: of a small example, or of one that fits sample files."""

    @classmethod
    def get_scaffold_params(cls) -> type[StarScaffoldParams]:
        """Return the model of the options."""
        return StarScaffoldParams

    def scaffold(self, request: dg.ScaffoldRequest[StarScaffoldParams]) -> None:
        """Write defs.yaml, sql/ and README.md into the folder, which names the star. Raises PipelineError."""
        folder = request.target_path
        if request.append or request.scaffold_format != "yaml":
            raise DeclarationError("a star is the only declaration of its folder, in YAML: name a new folder")
        name = _star_name(folder)
        if request.params and request.params.from_files:
            proposal = propose_folder(folder, [request.params.from_files], read_settings())
            for guess in proposal.guesses:
                print(f"{guess.subject}: {guess.decision} ({guess.reason})")  # noqa: T201  (dg has no output of its own)
            return
        values = {
            "type": request.type_name,
            "name": name,
            "first_month": f"{Month.current().year}-01",
        }
        (folder / "sql").mkdir(parents=True, exist_ok=True)
        (folder / "defs.yaml").write_text(_DECLARATION.format(**values), "utf-8")
        (folder / "README.md").write_text(_README.format(**values), "utf-8")
        for table, select in _SQL.items():
            (folder / "sql" / f"{table}.sql").write_text(select, "utf-8")


def _star_name(folder: Path) -> str:
    if problem := find_name_problem(folder.name):
        raise DeclarationError(f"a star is named as its folder: {problem}")
    return folder.name
