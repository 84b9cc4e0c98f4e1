"""The Dagster shell: partitions, assets, checks, jobs, schedules, sensors and resources of any star.
What a load does is in `engine`; nothing here touches rows."""

import warnings

from dagster import BetaWarning

# Used on purpose, and covered by tests; a warning at every start would only hide those that matter.
_BETA = "observable_source_asset|LocalFileCodeReference|CodeReferencesMetadataValue|execution_type"
warnings.filterwarnings("ignore", category=BetaWarning, message=f".*({_BETA}).*")
