"""The Dagster shell: partitions, assets, checks, jobs, schedules, sensors and resources of any star.

Nothing here touches rows.
"""

import warnings

# These are used deliberately and covered by tests; warnings about them would hide those that matter. Dagster's class of warning
# is not named, because commands import modules of this package that need no Dagster.
_BETA = "observable_source_asset|LocalFileCodeReference|CodeReferencesMetadataValue|execution_type|JobDefinition|GraphDefinition"
warnings.filterwarnings("ignore", message=f".*({_BETA}).* is currently in beta")
