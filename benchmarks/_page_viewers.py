"""Viewers of a page without a browser: WebSockets that show cameras and say when they have got a picture.

Run as a process of its own by ``benchmarks/web_cost.py``, so that what viewers cost is not counted as the run's:

    python benchmarks/_page_viewers.py ADDRESS VIEWERS SECONDS WIDTH CAMERA ...

Prints JSON: of each picture its camera, capture time, and when it came (seconds since 1970). With
``--coming-and-going`` each viewer stays for one second or two and comes back, until the time is over.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import struct
import sys
import time
from urllib.parse import urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Ping, Request, TextMessage

Seen = tuple[str, float, float]


async def view(address: str, seconds: float, width: int, cameras: list[str]) -> list[Seen]:
    """One viewer; what it saw."""
    where = urlsplit(address)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    connection = WSConnection(ConnectionType.CLIENT)
    writer.write(connection.send(Request(host=where.netloc, target="/page/socket", extra_headers=[])))
    seen: list[Seen] = []
    data, end = bytearray(), time.monotonic() + seconds
    try:
        while (left := end - time.monotonic()) > 0:
            try:
                got = await asyncio.wait_for(reader.read(1 << 16), left)
            except asyncio.TimeoutError:
                break
            if not got:
                break
            connection.receive_data(got)
            for event in connection.events():
                if isinstance(event, AcceptConnection):
                    wanted = json.dumps({"show": [[camera, width] for camera in cameras]})
                    writer.write(connection.send(TextMessage(data=wanted)))
                elif isinstance(event, Ping):
                    writer.write(connection.send(event.response()))
                elif isinstance(event, BytesMessage):
                    data += event.data
                    if event.message_finished:
                        number = take(bytes(data), seen)
                        data.clear()
                        writer.write(connection.send(TextMessage(data=json.dumps({"drawn": number}))))
        if connection.state is ConnectionState.OPEN:  # not while a busy machine still shakes hands
            writer.write(connection.send(CloseConnection(code=1000)))
    finally:
        writer.close()
    return seen


def take(data: bytes, seen: list[Seen]) -> int:
    """Note the pictures of a message; its number."""
    now, place = time.time(), 4
    while place < len(data):
        head, body, _ = struct.unpack_from(">III", data, place)
        header = json.loads(data[place + 12 : place + 12 + head])
        seen.append((header["camera"], header["time"], now))
        place += 12 + head + body
    return int(struct.unpack_from(">I", data)[0])


async def come_and_go(address: str, seconds: float, width: int, cameras: list[str]) -> list[Seen]:
    """A viewer who leaves again and again; only the number of visits is kept."""
    end, visits = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        await view(address, random.uniform(1.0, 2.0), width, random.sample(cameras, random.randint(1, len(cameras))))
        visits += 1
    return [("", visits, time.time())]


async def everybody(args: argparse.Namespace) -> list[Seen]:
    """All viewers at once."""
    act = come_and_go if args.coming_and_going else view
    each = await asyncio.gather(
        *(act(args.address, args.seconds, args.width, args.cameras) for _ in range(args.viewers))
    )
    return [row for rows in each for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("viewers", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("width", type=int)
    parser.add_argument("cameras", nargs="+")
    parser.add_argument("--coming-and-going", action="store_true")
    json.dump(asyncio.run(everybody(parser.parse_args())), sys.stdout)


if __name__ == "__main__":
    main()
