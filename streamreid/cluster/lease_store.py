"""Where the leases of a run are kept: in the gallery's PostgreSQL, else with the site."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from streamreid.cluster.leases import Leases, SiteLeases
from streamreid.cluster.postgres_leases import PostgresLeases
from streamreid.cluster.request_bridge import RequestBridge, RequestedLeases
from streamreid.config import Config

__all__ = ["LeaseStore"]

SITE_SECONDS = 10.0
"""Of leases that the site keeps. While its process is started again nobody can renew one, and workers are to go on
reading: a start takes 3 to 6 s."""

POSTGRES_SECONDS = 4.0
"""Of leases in PostgreSQL, which workers renew without the site. A camera whose machine was lost is free after this
time, and its first result is to come about 5 s after the loss; a server that is started again, which takes 1 to 2 s,
is not to stop the cameras."""


@dataclass(frozen=True, slots=True)
class LeaseStore:
    """Which store, in values that can be sent to workers.

    Args:
        site: Name of the run among all that share a database: host and folder of the results.
        seconds: How long a lease lasts.
        address: Of a PostgreSQL database; None keeps leases at the site.
    """

    site: str
    seconds: float
    address: str | None = None

    @classmethod
    def of(cls, config: Config, site: str) -> LeaseStore:
        """As a configuration says: ``cluster.leases`` and where the gallery is."""
        gallery = config.gallery.store
        postgres = gallery is not None and gallery.startswith(("postgresql://", "postgres://"))
        address = gallery if postgres and config.cluster.leases == "gallery" else None
        usual = SITE_SECONDS if address is None else POSTGRES_SECONDS
        return cls(site, config.cluster.lease_seconds or usual, address)

    def for_site(self, log: Path | None) -> Leases:
        """The leases as the site sees them.

        Args:
            log: Where changes are written if the site keeps them; None keeps them in memory.

        Raises:
            LeasesAway, DataError: They cannot be had.
        """
        if self.address is None:
            return SiteLeases(log, seconds=self.seconds)
        return PostgresLeases(self.address, site=self.site, seconds=self.seconds)

    def for_worker(self, bridge: RequestBridge) -> Leases:
        """The leases as a worker sees them.

        Raises:
            LeasesAway: The database cannot be reached from this machine.
        """
        if self.address is None:
            return RequestedLeases(bridge, self.seconds)
        return PostgresLeases(self.address, site=self.site, seconds=self.seconds)
