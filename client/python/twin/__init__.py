"""A thin client of twind, numpy in and numpy out.

    from twin import Feed, Twin

    events = Twin("zmumu").sample(10_000)           # a float32 array (10000, features)
    log_prob = Twin("zmumu").log_prob(events)       # nats, (10000)
    with Feed("zmumu", feed="daq1", run=7) as feed:
        feed.send(events)                           # on the daemon's disk when the block ends

`AsyncTwin` and `AsyncFeed` do the same for asyncio, `twin.io` reads ROOT, HepMC and LHE files, `twin.yoda` writes
histograms. docs/python.md shows all of it at work.
"""
from .aio import AsyncClient, AsyncOperation, AsyncTwin
from .aiofeed import AsyncFeed
from .answers import Histogram, Items
from .arrays import Events, Table
from .client import Client, Operation, Twin
from .errors import (ApiError, BadRequest, BatchConflict, BatchRefused, Conflict, NotFound, OperationFailed,
                     ServerError, Stale, Timeout, TooLarge, TryAgain, TwinError, Unauthorized, Unavailable)
from .events import Event
from .feed import Feed, Progress

__version__ = "0.1.0"

__all__ = [
    "ApiError", "AsyncClient", "AsyncFeed", "AsyncOperation", "AsyncTwin", "BadRequest", "BatchConflict",
    "BatchRefused", "Client", "Conflict", "Event", "Events", "Feed", "Histogram", "Items", "NotFound", "Operation",
    "OperationFailed", "Progress", "ServerError", "Stale", "Table", "Timeout", "TooLarge", "TryAgain", "Twin",
    "TwinError", "Unauthorized", "Unavailable",
]
