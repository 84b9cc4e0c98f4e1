"""A user's own star, without queries, cases or samples, in the commands that go over all stars.

The README's example of such a star is run by the tests of the project.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scx_pipeline_tests.cli.conftest import Scx

SHOP = """\
type: scx_pipeline.StarSchema
attributes:
  name: shop
  description: Orders of a shop.
  schema: shop
  first_month: 2024-01
  sources:
    - {name: orders, description: One file per month., format: csv, prefix: orders/, files: [{pattern: "{year}-{month}.csv"}], event_time: ordered_at}
  tables:
    - name: staging_orders
      role: staging
      description: Orders as read.
      source: orders
      key: [order_id]
      event_time: ordered_at
      columns:
        - {name: order_id, type: integer, nullable: false, description: The order.}
        - {name: ordered_at, type: timestamp, nullable: false, description: When it was placed.}
"""


@pytest.fixture
def shop(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the declaration of the only star, which has one file in the bucket."""
    declaration = tmp_path / "stars" / "shop" / "defs.yaml"
    declaration.parent.mkdir(parents=True)
    declaration.write_text(SHOP, "utf-8")
    orders = home / "bucket" / "orders"
    orders.mkdir(parents=True)
    (orders / "2024-01.csv").write_text("order_id,ordered_at\n1,2024-01-05 10:00:00\n", "utf-8")
    monkeypatch.setenv("SCX_STARS", str(tmp_path / "stars"))
    return declaration


@pytest.mark.usefixtures("shop")
def test_demo_leaves_a_star_without_samples_out(scx: Scx) -> None:
    result = scx("demo")
    assert (result.code, result.err) == (0, "")
    assert re.match(r"Next: \S+ ui, or ", result.out)


@pytest.mark.usefixtures("shop")
def test_analyze_says_that_a_star_has_no_queries(scx: Scx) -> None:
    assert scx("load", "shop").code == 0
    result = scx("analyze", "shop")
    assert (result.code, result.out) == (
        0,
        "shop has no queries: add them to its defs.yaml (docs/stars.md)\n",
    )
    assert "shop has no query 'orders'; it has: none" in scx("analyze", "shop", "orders").err


def test_doctor_reports_a_broken_declaration_once(shop: Path, scx: Scx) -> None:
    shop.write_text(SHOP.replace("type: integer", "type: whole"), "utf-8")
    result = scx("doctor")
    assert result.code == 1
    assert result.out.count("'whole'") == 1


def test_plan_and_status_of_all_stars_cover_the_own_star_only(shop: Path, scx: Scx) -> None:
    assert scx("load", "shop").code == 0
    assert list(json.loads(scx("plan", "--json").out)["stars"]) == ["shop"]
    assert list(json.loads(scx("status", "--json").out)["stars"]) == ["shop"]


def test_a_command_reports_a_missing_folder_in_one_line(
    scx: Scx, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCX_STARS", str(shop.parent))
    result = scx("load", "shop")
    assert result.code == 1
    assert f"holds no star: it is a star: name its parent, {shop.parent.parent}" in result.err
    monkeypatch.setenv("SCX_STARS", "/no/such/folder")
    assert "the folder of stars /no/such/folder does not exist: set SCX_STARS" in scx("plan").err
