"""The command `finetag-serve`: catalogues over HTTP, and the page to search them with.

It sees that all is as it must be, says so in one line, and hands over to uvicorn.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from multiprocessing import resource_tracker
from pathlib import Path
from typing import get_args

import click

from finetag_model.console import INTERRUPTED, Command, model_option, runtime_option
from finetag_model.embedder import Runtime
from retrieval.service.cli_options import (
    MOST_WORKERS,
    Address,
    check_address,
    check_catalogs,
    check_extra,
    needs_keys,
    read_catalogs,
    state_folder,
    state_option,
    workers_by_default,
)
from retrieval.service.counting import counting_together
from retrieval.service.logs import LogFormat

EPILOG = """\b
Examples:
  finetag-serve
      the nearest index upwards, for this machine alone: http://127.0.0.1:8000/
  finetag-serve --catalog shoes=/data/shoes --catalog bags=/data/bags
      two catalogues, at /v1/catalogs/shoes and /v1/catalogs/bags
  finetag-keys create --role read && finetag-serve --host 0.0.0.0 --workers 8
      for other machines too, who must show the key; eight processes
  finetag-serve --require-keys --allow-host search.example.org
      behind nginx on this machine, which has TLS and passes Host on

\b
Requests show a key as 'Authorization: Bearer ft_...'. They need one if --host can be reached
from other machines, with --allow-host or --require-keys, and if any key was made before the
start; else they need none. What is done with keys meanwhile counts within 5 seconds.
/readyz tells a load balancer whether searches are answered; /openapi.json describes the API.
"""


@click.command(cls=Command, epilog=EPILOG)
@click.option(
    "--index",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="The index to serve, as `main`.  [default: FINETAG_INDEX, or the nearest .finetag "
    "upwards]",
)
@click.option(
    "--catalog",
    "named",
    metavar="NAME=DIR",
    multiple=True,
    help="Serve this index by a name; repeat it for several.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port",
    default=8000,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="The port; 0 takes a free one.",
)
@click.option(
    "--workers",
    default=workers_by_default,
    show_default=f"one a core, at most {MOST_WORKERS}",
    type=click.IntRange(1, 256),
    help="Processes that answer; each takes the memory of a model.",
)
@state_option
@click.option("--require-keys", is_flag=True, help="Have requests show a key on this machine too.")
@click.option(
    "--allow-host",
    "hosts",
    metavar="NAME",
    multiple=True,
    help="A name that others call the service by; repeat it for several.",
)
@click.option(
    "--forwarded-allow-ips",
    "proxies",
    default="127.0.0.1",
    show_default=True,
    metavar="IPS",
    help="Proxies whose word is taken on who asks, and whether by https.",
)
@click.option("--fetch-urls", is_flag=True, help="Let pictures be named by URL.")
@click.option(
    "--max-upload-mb",
    default=20,
    show_default=True,
    type=click.IntRange(1),
    help="Refuse greater requests to search.",
)
@click.option(
    "--max-pixels",
    default=50_000_000,
    show_default=True,
    type=click.IntRange(1),
    help="Refuse pictures of more pixels.",
)
@click.option(
    "--rate",
    default=1200,
    show_default=True,
    type=click.IntRange(0),
    help="Requests a minute of one client; 0: as many as they like.",
)
@click.option(
    "--timeout",
    default=30.0,
    show_default=True,
    type=click.FloatRange(0, min_open=True),
    help="Seconds for a request to arrive, and to be answered.",
)
@click.option(
    "--log-format",
    type=click.Choice(get_args(LogFormat)),
    help="A line an event on stderr: JSON for programs, text for people.  [default: text in a "
    "terminal, else json]",
)
@model_option
@runtime_option
def main(
    index: Path | None,
    named: tuple[str, ...],
    host: str,
    port: int,
    workers: int,
    state: Path | None,
    require_keys: bool,
    hosts: tuple[str, ...],
    proxies: str,
    fetch_urls: bool,
    max_upload_mb: int,
    max_pixels: int,
    rate: int,
    timeout: float,
    log_format: LogFormat | None,
    model: Path | None,
    runtime: Runtime,
) -> None:
    """Serve catalogues over HTTP, with a page to search them at /."""
    check_extra()
    from retrieval.service.settings import Limits, Settings  # noqa: PLC0415  (of the extra)

    folders = read_catalogs(index, named)
    images = check_catalogs(folders, model)
    address = check_address(host, port)
    folder = state_folder(state)
    keys = needs_keys(folder, address, required=require_keys or bool(hosts))
    settings = Settings(
        catalogs=folders,
        state=folder,
        model=None if model is None else model.absolute(),
        runtime=runtime,
        keys=keys,
        hosts=hosts,
        fetch_urls=fetch_urls,
        log_format=log_format or ("text" if sys.stderr.isatty() else "json"),
        limits=Limits(
            body_bytes=max_upload_mb << 20,
            pixels=max_pixels,
            per_minute=rate,
            request_seconds=timeout,
        ),
    )
    settings.hand_down()
    served = ", ".join(f"{name} ({count:,} images)" for name, count in images.items())
    whom = "with a key" if keys else "without a key, for this machine alone"
    click.echo(f"serving {served} at {address.url}, {whom}; Ctrl-C ends it", err=True)
    with counting_together(folder):
        _run(address, workers, proxies, settings.log_format)


def _run(address: Address, workers: int, proxies: str, form: LogFormat) -> None:
    import uvicorn  # noqa: PLC0415

    from retrieval.service.server import uvicorn_options  # noqa: PLC0415

    # Requests run side by side, so that one that spread over all cores would only get into the
    # others' way. With one worker NumPy has been loaded before; FAISS comes later.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    signals = _Signals()
    if workers > 1:
        signals.keep_ctrl_c()
    uvicorn.run(
        "retrieval.service.app:create",
        factory=True,
        host=address.host,
        port=address.port,
        workers=workers,
        forwarded_allow_ips=proxies,
        timeout_keep_alive=75,  # more than a proxy's 60, so that the proxy is first to close
        timeout_graceful_shutdown=10,
        timeout_worker_healthcheck=30,  # a worker that starts on a busy machine is not dead
        **uvicorn_options(form),
    )
    signals.leave()


class _Signals:
    """Ends the command as it was asked to: with 0 by SIGTERM, with 130 by Ctrl-C.

    uvicorn with one worker hands a signal back when it has shut down; with several it does not,
    but Python notes each in a pipe.
    """

    def __init__(self) -> None:
        self._read, write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._leave)
        signal.signal(signal.SIGINT, self._leave)

    def keep_ctrl_c(self) -> None:
        """Have Ctrl-C reach this process alone, which then ends those that it started.

        They inherit what the main thread does not listen to. One that is interrupted while it
        starts would show a traceback, and be waited for in vain.
        """
        resource_tracker.ensure_running()  # when it starts, it has everything listened to again
        threading.Thread(target=threading.Event().wait, name="Ctrl-C", daemon=True).start()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})

    def leave(self) -> None:
        """Leave after several workers have ended; with 1 if no signal asked them to."""
        try:
            noted = os.read(self._read, 1000)
        except BlockingIOError:
            sys.exit(1)
        self._leave(signal.SIGINT if signal.SIGINT in noted else signal.SIGTERM, None)

    def _leave(self, number: int, _frame: object) -> None:
        sys.exit(INTERRUPTED if number == signal.SIGINT else 0)
