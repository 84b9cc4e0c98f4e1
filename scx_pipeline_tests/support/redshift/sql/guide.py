"""The address of Redshift's developer guide, whose pages the tests cite.

No tests belong here.
"""

from __future__ import annotations

GUIDE = "https://docs.aws.amazon.com/redshift/latest/dg/"  # the folder of the pages that statements come from
