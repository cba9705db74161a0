"""`dative-atom etcd`: a local etcd, so that a molecule can be tried on a laptop without installing one."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import rich_click as click

from dative_atom.agent.cli_words import coded, say


@click.group()
def etcd() -> None:
    """A local etcd for laptops and demos; production names its own cluster."""


@etcd.command()
@click.option(
    "--data-dir", type=click.Path(file_okay=False, path_type=Path), required=True, help="Where it keeps its keys."
)
@click.option(
    "--port", type=click.IntRange(0, 65_533), default=2379, show_default=True, help="Of the first member; 0: free."
)
@click.option("--members", type=click.Choice(["1", "3"]), default="1", show_default=True)
@coded
def start(data_dir: Path, port: int, members: str) -> None:
    """Run it on loopback until Ctrl-C or SIGTERM. Its endpoints are written to stdout once it answers."""
    from dative_atom.molecule.embedded import EmbeddedEtcd

    ended = threading.Event()
    for ending in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ending, lambda *_: ended.set())
    with EmbeddedEtcd(data_dir, members=int(members), port=port) as cluster:
        click.echo(",".join(cluster.endpoints))
        say(f"etcd answers, its keys are in {data_dir}; for laptops and demos only")
        ended.wait()
    say("etcd stopped")
