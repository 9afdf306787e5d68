"""What this peer offers: the one object through which the rest of the daemon sees shares, files and the catalogue.

A file is offered from when it is settled and proven until it changes, goes, or is unshared by the owner; what is served
is always what was proven. A share inside another is covered by it: its files are offered once, under the outer label.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from common.content.hashing import Algorithm
from common.content.names import safe_name
from common.database.sqlite import Database
from common.errors import Conflict, Forbidden, NotFound
from common.runtime.clock import Clock
from common.runtime.config import PeerSettings
from common.runtime.tasks import Jobs
from common.serving.file_reply import Served
from common.wire.files import DamagedFile, LocalSearchAnswer, SharedFile
from common.wire.files import Share as SharedPath
from peer.shares import damage, decisions, listing, share_store, store
from peer.shares.admission import admitted, base_rules, is_left_out, real_path, shown
from peer.shares.agenda import Place
from peer.shares.cache import Cache, Finished
from peer.shares.catalogue import Catalogue
from peer.shares.configured import configured
from peer.shares.damage import Judged
from peer.shares.decisions import Decided
from peer.shares.delivery import open_kept, remove_kept
from peer.shares.face import PUBLIC
from peer.shares.manifests import Manifests
from peer.shares.offers import News
from peer.shares.scan import Scan
from peer.shares.schema import MIGRATIONS
from peer.shares.scrub import Scrub
from peer.shares.share import Share, home_of, relative
from peer.shares.store import Proof
from peer.shares.telling import Tell, Telling
from peer.shares.tree import Rules
from peer.shares.upkeep import TICK, Upkeep
from peer.shares.upload import Incoming

if TYPE_CHECKING:
    from common.content.manifest import Manifest

log = logging.getLogger("shoal.shares")

DATABASE = "library.db"


class Library:
    """Open from `open` to `close`."""

    def __init__(
        self,
        settings: PeerSettings,
        folder: Path,
        algorithm: Algorithm,
        clock: Clock,
        tell: Tell,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        """`folder` is the daemon's data folder, which is never shared; `algorithm` is the network's.

        `busy`: whether somebody is served just now, so that the scrub had better wait.
        """
        self.catalogue = Catalogue()
        self.shared_files = 0
        """Entries offered."""
        self.shared_bytes = 0
        self._settings = settings
        self._folder = folder
        self._algorithm = algorithm
        self._clock = clock
        self._tell = tell
        self._busy = busy
        self._jobs = Jobs(clock)
        self._base = self._rules = Rules()
        self._data = b""
        self._shares: list[Share] = []
        self._some = Telling(tell, clock).some
        self.cache = Cache(settings, algorithm, clock, self._heed, self._is_left_out)
        self._database: Database
        self._scan: Scan
        self._upkeep: Upkeep
        self._manifests: Manifests
        self._scrub: Scrub
        self._closing: AsyncExitStack

    async def open(self) -> None:
        """Begins to scan. Raises DatabaseUnusable; ConfigError when the configuration names what is never shared."""
        self._data = real_path(str(self._folder.absolute()))
        self._rules = self._base = await asyncio.to_thread(base_rules, self._settings.include_hidden, self._data)
        async with AsyncExitStack() as opened:
            self._database = database = await Database.open(self._folder / DATABASE, MIGRATIONS)
            opened.push_async_callback(database.close)
            paths = await asyncio.to_thread(
                configured, self._settings, self._data, await database.read(share_store.load)
            )
            if await database.write(decisions.name_files_by, self._algorithm.name, self._clock.now()):
                log.warning("files are named by another algorithm now: hashing all", extra={"by": self._algorithm.name})
            await self.catalogue.open(database)
            self._scan = Scan(database, self._clock, self._settings.settle, self._algorithm, self._heed)
            opened.push_async_callback(self._scan.close)
            await self._scan.open()
            self._upkeep = Upkeep(self._scan, database, self._clock, self._settings.sweep_interval, self._heed)
            self._accept(await database.write(decisions.configure, paths, self._base, self._clock.now()))
            self._manifests = Manifests(database, self._clock, self._open_for_anybody, self.catalogue.changed.set)
            opened.push_async_callback(self._manifests.close)
            self._scrub = self._make_scrub(database)
            opened.push_async_callback(self._scrub.close)
            await self.cache.open(self._data, database, self._scan.turn)
            opened.push_async_callback(self.cache.close)
            self._jobs.forever("scan", self._scan.run)
            self._jobs.every("upkeep", TICK, self._upkeep.tick)
            self._jobs.every("cache", self.cache.pause, self.cache.look)
            if self._settings.scrub_interval:
                self._jobs.forever("scrub", self._scrub.run)
            self._jobs.start()
            self._closing = opened.pop_all()

    async def close(self) -> None:
        """Stops the scan where it is."""
        await self._jobs.stop()
        await self._closing.aclose()

    async def quiet(self) -> None:
        """Returns when everything that is known to have happened has been looked at, hashed and written down."""
        await self._scan.quiet()

    async def turned(self) -> None:
        """Returns after the scan's next turn, whatever it brought."""
        await self._scan.turned()

    @property
    def hashed(self) -> int:
        """Files read through since the start: those that were not known already."""
        return self._scan.hashed

    @property
    def damaged_files(self) -> int:
        """How many files are not offered because the disk has lost their bytes."""
        return self._scrub.damaged

    @property
    def scrubbed(self) -> int:
        """Bytes that the scrub has read since the start."""
        return self._scrub.bytes

    async def damaged(self) -> list[DamagedFile]:
        """The files that are not offered because the disk has lost their bytes, and what to do."""
        return await self._database.read(damage.listed)

    async def search(
        self, q: str, category: str, *, offset: int = 0, limit: int = 1000, public_only: bool = True
    ) -> LocalSearchAnswer:
        """One page of the offered files that fit, newest first; `count` is how many fit in all."""
        return await self._database.read(listing.search, q, category, offset, limit, public_only=public_only)

    async def below(self, path: str, *, after: int = 0, limit: int = 1000, public_only: bool = True) -> listing.Page:
        """One page of the entries at or below `path` of the catalogue, in a lasting order."""
        return await self._database.read(listing.below, path, after, limit, public_only=public_only)

    async def find(self, file_id: str, *, public_only: bool = True) -> SharedFile | None:
        """The file, if it is offered."""
        return await self._database.read(listing.find, file_id, public_only=public_only)

    async def shares(self) -> list[SharedPath]:
        """The shares that are wanted, as their owner sees them."""
        sizes = await self._database.read(listing.sizes, self._shares, self._rules)
        return [
            SharedPath(share.label, shown(share.path), self._state_of(share), *sizes[share.id])
            for share in self._shares
            if share.wanted
        ]

    async def share(self, path: str, *, tags: Iterable[str] = (), audience: str | None = None) -> str | None:
        """Offers a file, whose id it returns once it is proven, or a folder, whose files appear as they are proven.

        Tags and audience are for the file, or for all in the folder. Raises Invalid, NotFound, Forbidden.
        """
        tags = list(tags)
        real, is_folder = await asyncio.to_thread(admitted, path, self._data)
        async with self._scan.turn:
            now = self._clock.now()
            share = decisions.share
            decided = await self._database.write(share, real, is_folder, tags, audience, self._base, now)
            self._accept(decided, added="file_shared")
        if is_folder:
            self._scan.walk(self._folder_of(real))
            return None
        place, name = self._place_of(real)
        file_id = await self._scan.proof(place, name)
        if file_id is None:
            raise Forbidden("path_not_shareable", f"{shown(real)} cannot be shared: it cannot be read.")
        if await self.find(file_id, public_only=False) is None:  # unshared before, under another name
            async with self._scan.turn:
                await self._decide_to_share(real)
        if tags or audience not in (None, PUBLIC):
            await self.edit(file_id, tags=tags or None, audience=audience)
        await self._tell_of("file_shared", file_id)
        return file_id

    async def unshare(self, file_id: str, *, delete: bool = False) -> None:
        """Offers this content no longer, under none of its names, until it is shared again. Raises NotFound.

        `delete` removes its files from the disk; one that has changed stays. Raises Forbidden when that cannot be.
        """
        async with self._scan.turn:
            places = await self._database.read(listing.kept, file_id, public_only=False)
            if not places:
                raise NotFound("file_not_found", "This peer offers no such file.")
            problems = await asyncio.to_thread(remove_kept, places) if delete else []
            news = await self._database.write(decisions.unshare, file_id, self._clock.now())
            self._heed(news, removed="file_unshared")
        await self.cache.drop(file_id)
        if delete:
            for kept in places:
                self._scan.look(kept.place, kept.name)
        if problems:
            raise Forbidden("path_not_shareable", f"It is unshared, but was not deleted: {'; '.join(problems)}.")

    async def unshare_path(self, path: str) -> None:
        """Offers this folder, or the file under this name, no longer, until it is shared again. Raises NotFound.

        What was shared inside of it in its own right stays.
        """
        real = real_path(path)
        is_folder = await asyncio.to_thread(os.path.isdir, real)
        async with self._scan.turn:
            now = self._clock.now()
            decided = await self._database.write(decisions.unshare_path, real, is_folder, self._base, now)
            if decided is None:
                raise NotFound("not_found", f"{shown(real)} is not shared, nor does it lie in a folder that is.")
            self._accept(decided, removed="file_unshared")

    async def edit(self, file_id: str, *, tags: Iterable[str] | None = None, audience: str | None = None) -> SharedFile:
        """Sets the tags or the audience of a content, for good. Raises NotFound."""
        async with self._scan.turn:
            if await self.find(file_id, public_only=False) is None:
                raise NotFound("file_not_found", "This peer offers no such file.")
            now = self._clock.now()
            self._heed(await self._database.write(decisions.edit, file_id, tags, audience, now))
        found = await self.find(file_id, public_only=False)
        if found is None:
            raise NotFound("file_not_found", "This peer does not offer the file any more.")
        return found

    async def open_for_serving(self, file_id: str, *, public_only: bool = True) -> Served:
        """The open file, which is what was proven; the caller closes it. Raises NotFound, Conflict (`file_changed`)."""
        places = await self._database.read(listing.kept, file_id, public_only=public_only)
        is_there = False
        for kept in places:
            found = await asyncio.to_thread(open_kept, kept, file_id, self._algorithm)
            self.cache.served(kept.place, file_id, is_sound=isinstance(found, Served))
            if isinstance(found, Served):
                return found
            is_there = is_there or found
            self._scan.look(kept.place, kept.name)
        if is_there:
            raise Conflict("file_changed", "The file has changed on disk and is being read anew; search for it again.")
        raise NotFound("file_not_found", "This peer offers no such file, or its disk is not there just now.")

    async def manifest(self, file_id: str, *, public_only: bool = True) -> "Manifest":
        """The hashes of a file's pieces, made from its proven bytes when first asked for, which may take long.

        Raises NotFound; Conflict (`file_changed`); Unavailable when too many are being made.
        """
        return await self._manifests.of(file_id, public_only=public_only)

    async def manifest_digest(self, file_id: str, *, public_only: bool = True) -> str | None:
        """What a file's manifest is named by; None when it was never made. Raises NotFound."""
        return await self._manifests.digest(file_id, public_only=public_only)

    async def know_manifest(self, file_id: str, manifest: "Manifest") -> None:
        """Keeps the manifest of a file whose bytes have proven to be its own, whether it is shared already or not."""
        await self._manifests.keep(file_id, manifest)

    def offer_on(self, file_id: str, size: int, name: str, path: str) -> None:
        """A finished download, which lies at `path`, is offered by the cache, soon, if it may be and fits."""
        self.cache.take(Finished(file_id, size, os.fsencode(name), os.fsencode(path)))

    async def count_download(self, file_id: str) -> None:
        """One more finished upload of this file."""
        await self._database.write(share_store.count_download, file_id)

    async def receive_upload(self, name: str, chunks: AsyncIterator[bytes]) -> str:
        """Saves what comes in the shared directory, under a safe and free name, and offers it at once; its id.

        The same content sent again leaves one file. Raises NoSpace, Forbidden, and what `chunks` raises.
        """
        safe = safe_name(name.replace("\\", "/").rpartition("/")[2])
        if objection := self._base.objection(os.fsencode(safe)):
            raise Forbidden("path_not_shareable", f"A file named {safe} is not shared ({objection}).")
        folder = real_path(self._settings.shared_directory)
        incoming = await asyncio.to_thread(Incoming, folder, self._algorithm)
        try:
            async for chunk in chunks:
                await asyncio.to_thread(incoming.write, chunk)
            async with self._scan.turn:
                await self._take_in(incoming, safe)
        finally:
            await asyncio.to_thread(incoming.discard)
        await self._tell_of("file_shared", incoming.file_id)
        return incoming.file_id

    def _make_scrub(self, database: Database) -> Scrub:
        interval, rate = self._settings.scrub_interval, self._settings.scrub_rate
        scan, tell = self._scan, self._heed_damage
        return Scrub(scan, database, self._algorithm, self._clock, interval, rate, self._busy, tell)

    def _is_left_out(self, path: bytes) -> bool:
        return is_left_out(path, self._shares, self._rules, self._base)

    async def _open_for_anybody(self, file_id: str) -> Served:
        return await self.open_for_serving(file_id, public_only=False)

    def _place_of(self, path: bytes) -> tuple[Place, bytes]:
        """Where a file is, among the shares. Raises Forbidden for one that no share comes past."""
        home = home_of(path, self._shares, self._rules)
        inside = None if home is None else relative(home.root, path)
        if home is None or not inside:
            raise Forbidden("path_not_shareable", f"{shown(path)} is left out of every share.")
        return Place(home.id, os.path.dirname(inside)), os.path.basename(inside)

    def _folder_of(self, path: bytes) -> Place:
        """The same for a folder."""
        home = home_of(path, self._shares, self._rules)
        if home is None:
            raise Forbidden("path_not_shareable", f"{shown(path)} is left out of every share.")
        return Place(home.id, relative(home.root, path) or b"")

    def _state_of(self, share: Share) -> str:
        home = home_of(share.path, self._shares, self._rules)
        if home is None or home.id in self._scan.absent:
            return "missing"
        return "scanning" if home.id in self._scan.busy_shares() else "online"

    async def _take_in(self, incoming: Incoming, name: str) -> None:
        """Names what has come and offers it; or offers the same that is there already. Called within a turn."""
        path = incoming.folder + b"/" + os.fsencode(name)
        twin = await self._twin(path, incoming.file_id)
        if twin is not None:
            await self._decide_to_share(twin)
            return
        file = await asyncio.to_thread(incoming.name_it, name)
        path = incoming.folder + b"/" + file.name
        await self._decide_to_share(path)
        proof = Proof(self._place_of(path)[0], file, incoming.file_id, incoming.head)
        self._heed(await self._database.write(decisions.take_in, proof, path, self._clock.now()), added="file_shared")

    async def _decide_to_share(self, path: bytes) -> None:
        now = self._clock.now()
        decided = await self._database.write(decisions.share, path, False, (), None, self._base, now)
        self._accept(decided, added="file_shared")

    async def _twin(self, path: bytes, file_id: str) -> bytes | None:
        """The path of a file with this content in the same folder."""
        home = home_of(path, self._shares, self._rules)
        inside = None if home is None else relative(home.root, path)
        if home is None or inside is None:
            return None
        place = Place(home.id, os.path.dirname(inside))
        name = await self._database.read(store.name_of, place, file_id)
        found = None if name is None else await self._database.read(store.id_of, place, name)
        return None if name is None or found is None else os.path.join(os.path.dirname(path), name)

    async def _tell_of(self, kind: str, file_id: str) -> None:
        found = await self.find(file_id)
        if found is not None:
            self._tell(kind, found)

    def _accept(self, decided: Decided, *, added: str = "file_added", removed: str = "file_removed") -> None:
        """The shares are these from now on. Called within a turn."""
        self._shares = decided.shares
        self._rules = replace(self._base, closed=self._base.closed | decided.excluded)
        self._scan.set_shares(decided.shares, self._rules)
        self._heed(decided.news, added=added, removed=removed)

    def _heed(self, news: News, *, added: str = "file_added", removed: str = "file_removed") -> None:
        self.shared_files, self.shared_bytes = news.files, news.bytes
        self._upkeep.leaving_at = news.leaving_at
        if news.is_dirty:
            self.catalogue.changed.set()
        for kind, files in ((removed, news.removed), (added, news.added)):
            for file in files:
                self._some(kind, file)

    def _heed_damage(self, judged: Judged) -> None:
        for file in judged.damaged:
            log.warning("a file is damaged on the disk", extra={"id": file.id, "file": file.filename})
            self._some("file_damaged", file)
        self._heed(judged.news)
