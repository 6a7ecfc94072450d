"""Sockets that have sent much take turns, whatever one of them sends."""

import asyncio
import socket as sockets

from runner.time_slices import TimeSlices


class Sender:
    def __init__(self, transport: asyncio.Transport, *, fails: bool = False) -> None:
        self.loop = asyncio.get_running_loop()
        self.transport = transport
        self.left = 3
        self._fails = fails

    def next_piece(self) -> bool:
        if self._fails:
            raise RuntimeError("not understood")
        self.left -= 1
        return self.left > 0


async def test_one_that_fails_is_left_and_the_others_go_on() -> None:
    here, there = sockets.socketpair()
    transport, _ = await asyncio.get_running_loop().connect_accepted_socket(asyncio.Protocol, here)
    slices = TimeSlices()
    bad, good = Sender(transport, fails=True), Sender(transport)
    slices.add(bad)
    slices.add(good)
    async with asyncio.timeout(10):
        while good.left:
            await asyncio.sleep(0)
        while slices.busy:
            await asyncio.sleep(0)
    assert transport.is_closing()
    there.close()


async def test_one_that_is_added_again_has_no_slices_more() -> None:
    here, there = sockets.socketpair()
    transport, _ = await asyncio.get_running_loop().connect_accepted_socket(asyncio.Protocol, here)
    slices, sender = TimeSlices(), Sender(transport)
    slices.add(sender)
    slices.add(sender)
    await asyncio.sleep(0)
    assert sender.left == 2
    transport.close()
    there.close()
