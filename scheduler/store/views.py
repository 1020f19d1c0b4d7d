"""The public view `leaderboard`, as SQLAlchemy Core sees it: only so that times and tags come out as what they are.

The migration makes the view; `docs/database.md` says what each column means.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Integer, MetaData, String, Table, Text

from scheduler.store.clock import UtcDateTime
from scheduler.store.tables import Json

leaderboard = Table(
    "leaderboard",
    MetaData(),
    Column("evaluation", BigInteger),
    Column("rank", Integer),
    Column("checkpoint", Text),
    Column("step", BigInteger),
    Column("protocol", Text),
    Column("fid", Double),
    Column("fid_std_error", Double),
    Column("fid_bias", Double),
    Column("rfid", Double),
    Column("rfid_std_error", Double),
    Column("rfid_bias", Double),
    Column("mse", Double),
    Column("mse_std_error", Double),
    Column("cross_entropy", Double),
    Column("cross_entropy_std_error", Double),
    Column("psnr", Double),
    Column("psnr_std_error", Double),
    Column("kl", Double),
    Column("kl_std_error", Double),
    Column("num_samples", Integer),
    Column("num_reconstructions", Integer),
    Column("seed", BigInteger),
    Column("extractor", Text),
    Column("dataset", Text),
    Column("tags", Json),
    Column("fingerprint", String(64)),
    Column("finished_at", UtcDateTime),
    Column("noise_floor", Boolean),
)
