"""The tables of *accounts sync*, made inside PostgreSQL so that making them costs the contenders nothing.

A source table of 11 columns; revenue and date are text; 0.1 % of the rows hold an unreadable number or date, 1 % have no
entry in the cross-reference, one in eight is Healthcare; half of the customers exist already.
"""

from __future__ import annotations

import psycopg

# Every 1,000th row is unreadable: odd thousands in the number, even ones in the date. Every 100th (offset 50) has no
# cross-reference. Revenue is exact decimal text, dates come in one declared format.
SOURCE = """
CREATE TABLE account AS
SELECT
  lpad(g::text, 18, '0') AS id,
  'First' || g % 977 AS first_name,
  'Last' || g % 1009 AS last_name,
  (ARRAY['Healthcare', 'Energy', 'Retail', 'Banking', 'Media', 'Telecom', 'Food', 'Mining'])[1 + g % 8] AS industry,
  CASE WHEN g % 2000 = 1000 THEN 'n/a' ELSE (g % 900000 + 1000)::text || '.' || lpad((g % 100)::text, 2, '0') END
    AS revenue,
  (ARRAY['EUR', 'USD', 'GBP', 'CHF', 'JPY'])[1 + g % 5] AS currency,
  CASE WHEN g % 2000 = 0 THEN '02/30/2021'
    ELSE to_char(DATE '2001-01-01' + (g % 8000)::int, 'MM/DD/YYYY') END AS since,
  '+1 555 ' || lpad((g % 10000000)::text, 7, '0') AS phone,
  'person' || g || '@example.com' AS email,
  TIMESTAMPTZ '2026-01-01 00:00:00+00' + (g / 10) * INTERVAL '1 second' AS system_modstamp,
  'note ' || g AS note
FROM generate_series(1, {rows}) AS g;
ALTER TABLE account ADD PRIMARY KEY (id);
CREATE INDEX ON account (system_modstamp, id);
ANALYZE account
"""
TARGET = """
CREATE TABLE customer (
  source_id text PRIMARY KEY, full_name text, revenue numeric(18, 2), since date, erp_id text, phone text, email text,
  industry text, modified timestamptz
)
"""
EXISTING = "INSERT INTO customer SELECT id, 'former' FROM account WHERE id::bigint % 2 = 0"
RATES = {"USD": "0.92", "GBP": "1.17", "CHF": "1.04", "JPY": "0.0061"}


def make(uri: str, rows: int) -> None:
    """The source table and an empty target, in place of any former ones."""
    with psycopg.connect(uri, autocommit=True) as db:
        db.execute("DROP TABLE IF EXISTS account, customer, mapped CASCADE")
        for statement in SOURCE.format(rows=rows).split(";"):
            db.execute(statement)
        db.execute(TARGET)


def reset_target(uri: str) -> None:
    """Half of the customers exist, and no contender's marks are left."""
    with psycopg.connect(uri, autocommit=True) as db:
        db.execute("DROP TABLE IF EXISTS dative_position")
        db.execute("TRUNCATE customer")
        db.execute(EXISTING)
        db.execute("VACUUM ANALYZE customer")
        db.execute("CHECKPOINT")


def xref_pairs(rows: int) -> tuple[list[str], list[str]]:
    """The cross-reference: as many entries as rows, but for every 100th."""
    keys = [f"{g:018}" for g in range(1, rows + 1) if g % 100 != 50]
    return keys, [f"C{int(key)}" for key in keys]


def check(uri: str, rows: int) -> None:
    """Compare the target with what it must hold; raises AssertionError with the difference."""
    with psycopg.connect(uri) as db:

        def one(query: str) -> object:
            row = db.execute(query).fetchone()
            return row[0] if row else None

        written = rows - rows // 1000
        assert one("SELECT count(*) FROM customer WHERE full_name <> 'former'") == written
        assert one("SELECT count(*) FROM customer WHERE full_name <> 'former' AND erp_id IS NULL") == rows // 100
        assert one("SELECT count(*) FROM customer WHERE industry = 'Healthcare' AND phone !~ '^[*]'") == 0
        # Row 1: 1001.01 USD at 0.92 is 920.9292.
        assert str(one("SELECT revenue FROM customer WHERE source_id = lpad('1', 18, '0')")) == "920.93"
