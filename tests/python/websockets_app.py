"""A WebSocket echo on the `websockets` library, for a Unix socket.

    python websockets_app.py /path/of/socket
"""

import asyncio
import sys

from websockets.asyncio.server import ServerConnection, unix_serve


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def main() -> None:
    async with unix_serve(echo, sys.argv[1]) as server:
        print(f"listening on {sys.argv[1]}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
