"""Jobs as EMR runs them: from the archive of `scx lake package`, in a Python that has nothing else of ours.
AWS is played, everything else is real; where a package index or Java is missing, tests skip and say why."""
