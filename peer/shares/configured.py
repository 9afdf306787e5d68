"""What the configuration names as shared, made or refused at the start."""

import os
from collections.abc import Iterable

from common.errors import Forbidden
from common.runtime.config import PeerSettings
from common.runtime.kinds import ConfigError
from common.runtime.obstacles import obstacle
from peer.shares.admission import real_path, refuse_by_kind, refuse_by_name, shown
from peer.shares.share import Share
from peer.shares.upload import clear_up


def configured(settings: PeerSettings, data: bytes, known: Iterable[Share]) -> list[tuple[bytes, bool]]:
    """(path, is a folder) of what is named. What is not there may be a disk that is away. Raises ConfigError."""
    kinds = {share.path: share.is_folder for share in known}
    paths = []
    for written in (settings.shared_directory, *settings.shares):
        path = real_path(os.path.abspath(written))
        try:
            refuse_by_name(path, data)
            refuse_by_kind(path)
        except Forbidden as error:
            raise ConfigError(f"peer.shares: {error.detail}") from None
        if written == settings.shared_directory and path not in kinds and not os.path.exists(path):
            _make_folder(path)
        paths.append((path, kinds.get(path, True) if not os.path.exists(path) else os.path.isdir(path)))
    clear_up(paths[0][0])
    return paths


def _make_folder(path: bytes) -> None:
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        told = obstacle(error, f"the shared directory {shown(path)}", "name a folder that is there with --share")
        raise ConfigError(told) from error
