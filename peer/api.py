"""The whole HTTP surface of a peer."""

from common.http.endpoint import Endpoint
from common.http.health import HealthPages
from common.http.metrics import MetricsPage
from common.http.operations import operations
from peer.control.info import InfoRoutes
from peer.control.owner import OwnerRoutes
from peer.shares.routes import ShareRoutes
from peer.uploads.routes import UploadRoutes

DESCRIPTION = (
    "A peer shares files of one machine. Whoever can reach it may read; only its owner may change what it shares."
)


def endpoints(
    info: InfoRoutes,
    shares: ShareRoutes,
    uploads: UploadRoutes,
    owner: OwnerRoutes,
    health: HealthPages,
    metrics: MetricsPage,
) -> list[Endpoint]:
    """Every endpoint, in the order in which the documentation tells them."""
    return [
        *info.endpoints(),
        *shares.endpoints(),
        *uploads.endpoints(),
        *owner.endpoints(),
        *operations(health, metrics),
    ]
