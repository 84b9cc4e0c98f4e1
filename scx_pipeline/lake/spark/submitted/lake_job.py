"""The file that spark-submit runs: alone in its folder, which Python searches for modules before all others.

What the job does is not decided here.
"""

import sys

from scx_pipeline.lake.spark.job import main

if __name__ == "__main__":
    sys.exit(main())
