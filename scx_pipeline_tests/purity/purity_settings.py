"""The hypothesis settings of the random histories: the same examples each time, unless more are requested.

The histories themselves do not belong here.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

# PURITY_EXAMPLES=500 runs more and random examples; NOSHRINK=1 does not shrink a failing one.
MORE = int(os.environ.get("PURITY_EXAMPLES", "0"))


def purity_settings(examples: int) -> settings:
    """Return the settings of a property test; each example consists of many loads and may take any time."""
    return settings(
        max_examples=MORE or examples,
        derandomize=not MORE,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        phases=[Phase.explicit, Phase.generate, *([] if os.environ.get("NOSHRINK") else [Phase.shrink])],
        suppress_health_check=list(HealthCheck),
    )
