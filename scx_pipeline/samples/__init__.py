"""Deterministic generators of realistic buckets, one per star: the same options give the same bytes anywhere.
No loading, no settings and no warehouse live here; a generator writes objects and reports what is in them."""
