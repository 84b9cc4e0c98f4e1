"""How many random histories the properties of this folder try, and how: the same ones each time, unless more are asked for.
What the histories are, and what must come of them, is in the tests themselves."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

# More, and other ones each time: PURITY_EXAMPLES=500 pytest …; without looking for the shortest one: NOSHRINK=1.
MORE = int(os.environ.get("PURITY_EXAMPLES", "0"))


def tried(examples: int) -> settings:
    """The settings of a property that takes so many examples; each of them is many loads, however long they take."""
    return settings(
        max_examples=MORE or examples,
        derandomize=not MORE,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        phases=[Phase.explicit, Phase.generate, *([] if os.environ.get("NOSHRINK") else [Phase.shrink])],
        suppress_health_check=list(HealthCheck),
    )
