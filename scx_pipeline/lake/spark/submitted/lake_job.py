"""The file that spark-submit is given: alone in its folder, which it puts before all others that Python looks for modules in.
What the job does is in `scx_pipeline.lake.spark.job`."""

import sys

from scx_pipeline.lake.spark.job import main

if __name__ == "__main__":
    sys.exit(main())
