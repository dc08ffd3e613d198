"""The databases that people would run instead: each installed, started on one core, loaded, asked and stopped here.

InfluxDB 1.6, VictoriaMetrics and PostgreSQL come from Debian (`apt-get`, as root). Each is used as its documentation
advises for many points: line protocol in batches of 5,000 to 10,000, `COPY`. InfluxDB and PostgreSQL flush before they
answer, as the gateway does; VictoriaMetrics answers from memory and is said to.
"""

from __future__ import annotations

from bench.neighbours.influx import Influx
from bench.neighbours.postgres import Postgres
from bench.neighbours.victoria import Victoria

__all__ = ["Influx", "Postgres", "Victoria"]
