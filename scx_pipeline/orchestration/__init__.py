"""The Dagster shell: partitions, assets, checks, jobs, schedules, sensors and resources of any star.

Nothing here touches rows.
"""

import warnings

from dagster import BetaWarning

# These are used deliberately and covered by tests; warnings about them would hide those that matter.
_BETA = "observable_source_asset|LocalFileCodeReference|CodeReferencesMetadataValue|execution_type"
warnings.filterwarnings("ignore", category=BetaWarning, message=f".*({_BETA}).*")
