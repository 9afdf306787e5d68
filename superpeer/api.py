"""The whole HTTP surface of the super-peer."""

from common.http.endpoint import Endpoint
from common.http.health import HealthPages
from common.http.metrics import MetricsPage
from common.http.operations import operations
from superpeer.files.export_routes import ExportRoutes
from superpeer.files.routes import FileRoutes
from superpeer.files.transfer_routes import TransferRoutes
from superpeer.network.routes import NetworkRoutes
from superpeer.peers.routes import PeerRoutes
from superpeer.relay.routes import RelayRoutes

DESCRIPTION = (
    "The super-peer knows which peers are here and which files they share, and sends whoever asks to the best source."
)


def endpoints(
    peers: PeerRoutes,
    exports: ExportRoutes,
    files: FileRoutes,
    transfers: TransferRoutes,
    relay: RelayRoutes,
    network: NetworkRoutes,
    health: HealthPages,
    metrics: MetricsPage,
) -> list[Endpoint]:
    """Every endpoint, in the order in which the documentation tells them."""
    return [
        *peers.endpoints(),
        *exports.endpoints(),  # before `/files/{id}`, which would take theirs for ids
        *files.endpoints(),
        *transfers.endpoints(),
        *relay.endpoints(),
        *network.endpoints(),
        *operations(health, metrics),
    ]
