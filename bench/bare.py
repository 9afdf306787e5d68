"""The rival of the heartbeat: a bare aiohttp handler for the same JSON. The port is its argument."""

import sys
from typing import Any

from aiohttp import web


async def beat(request: web.Request) -> web.Response:
    """Parses and answers."""
    body: dict[str, Any] = await request.json()
    answer = {"catalogue_id": body["catalogue_id"], "catalogue_version": 1, "heartbeat_interval": 30.0}
    return web.json_response(answer)


if __name__ == "__main__":
    app = web.Application()
    app.router.add_post("/api/v1/peers/heartbeat", beat)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
