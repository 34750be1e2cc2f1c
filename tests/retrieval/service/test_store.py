"""The database of a service is one database for all that opens it, in one process or in several."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from retrieval.service.keys import Keys
from retrieval.service.store import open_store

OTHER_PROCESS = """
import sys
from pathlib import Path
from retrieval.service.keys import Keys
from retrieval.service.store import open_store
keys = Keys(open_store(Path(sys.argv[1])))
keys.create("read", note="another process")
print([key.note for key in keys.all()])
"""


def another_process(state: Path) -> str:
    command = [sys.executable, "-c", OTHER_PROCESS, str(state)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_nothing_is_lost_where_one_process_opens_it_twice(tmp_path: Path) -> None:
    first = Keys(open_store(tmp_path))
    first.create("read", note="first")
    second = Keys(open_store(tmp_path))
    second.create("read", note="second")
    another_process(tmp_path)  # it is no last connection, and must not throw the log away
    second.create("read", note="third")
    assert "third" in another_process(tmp_path)
    assert len(first.all()) == 5
