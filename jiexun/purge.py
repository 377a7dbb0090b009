"""The command `channels purge`: deliveries that ended long ago are forgotten."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from dispatcher.document import one_line
from dispatcher.store.database import explained_failures
from dispatcher.store.store import Store
from ingest.frame import rfc3339
from jiexun.options import Json, StoreUrl, explained
from jiexun.report import console
from jiexun.streams import default_store

logger = logging.getLogger(__name__)


def purge(
    before: Annotated[int, typer.Option("--before", min=1, max=36_500, metavar="DAYS", help="Ended so long ago.")],
    store: StoreUrl = None,
    json: Json = False,
) -> None:
    """Forget deliveries that ended long ago: delivered, or failed for good.

    What is still to be sent stays, and so does what a person has to look at (state `unknown`). Cases, their events and
    the alerts on the page stay as well. A failed one that was forgotten cannot be sent again.

    Examples:

        jiexun channels purge --before 90
    """
    until = rfc3339(datetime.now(UTC) - timedelta(days=before))
    with (
        explained() as settings,
        explained_failures(),
        Store.open(store or settings.store or default_store(settings)) as opened,
    ):
        gone = {str(state): n for state, n in opened.deliveries.purge(before=until).items()}
    logger.info("deliveries that ended before %s were forgotten: %s", until, gone)
    if json:
        print(one_line({"before": until, "purged": gone}))
        return
    console.print(f"{sum(gone.values())} deliveries that ended before {until} are forgotten ({_told(gone)})")


def _told(gone: dict[str, int]) -> str:
    return ", ".join(f"{state} {n}" for state, n in gone.items())
