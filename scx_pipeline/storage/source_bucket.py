"""The bucket of a source: the one of the settings, or one of its own.

Which of its objects are read is decided in other packages.
"""

from __future__ import annotations

from dataclasses import replace

from scx_pipeline.model.source import Source
from scx_pipeline.storage.bucket import Bucket, open_bucket
from scx_pipeline.storage.s3 import S3Access


def bucket_of(bucket: Bucket, source: Source) -> Bucket:
    """Return the bucket of a source, given the one of the settings; each is opened once. Raises BucketError."""
    if source.url is None:
        return bucket
    if source.location not in bucket.others:
        access = S3Access(source.region, source.endpoint, source.anonymous)
        options = replace(bucket.options, access=access)
        bucket.others[source.location] = open_bucket(source.url, options, bucket.notify)
    return bucket.others[source.location]
