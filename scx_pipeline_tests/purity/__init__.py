"""Property tests of the promise: after any order of loads, the warehouse equals a build from nothing."""
