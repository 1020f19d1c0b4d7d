"""The story of an evaluation in three functions: measure_shard, merge_shards, score.

    adapter, images, extractor ─► measure_shard ─► arrays of one shard      (device, any worker, any order)
    arrays of all shards       ─► merge_shards  ─► EvaluationSummary        (float64, in shard order)
    summary, reference         ─► score         ─► one Score per metric     (pure)

References go the same way: measure_reference_shard, merge_reference.
"""

from __future__ import annotations
