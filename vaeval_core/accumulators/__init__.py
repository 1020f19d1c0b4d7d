"""Mergeable summaries of rows, in float64.

Laws, tested for every class here:

- `merge(empty, a) == a == merge(a, empty)`, exactly.
- `merge` is associative and commutative up to float64 rounding; callers merge in image order, so results are repeatable.
- `from_rows(concatenate(a, b))` equals `merge(from_rows(a), from_rows(b))` up to float64 rounding.

Rounding depends on where rows are cut. `FixedBlocks` cuts at fixed image numbers, so that it does not depend on shards.
"""
