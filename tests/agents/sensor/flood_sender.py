"""Frames onto an interface at a steady rate: ``flood_sender.py INTERFACE PPS``, frames on stdin.

Each frame comes behind its length in two bytes, network order.
"""

import socket
import struct
import sys
import time


def main() -> None:
    interface, rate = sys.argv[1], int(sys.argv[2])
    data, frames, at = sys.stdin.buffer.read(), [], 0
    while at < len(data):
        (size,) = struct.unpack_from(">H", data, at)
        frames.append(data[at + 2 : at + 2 + size])
        at += 2 + size
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind((interface, 0))
        begin = time.monotonic()
        for number, frame in enumerate(frames):
            wait_s = begin + number / rate - time.monotonic()
            if wait_s > 0.002:
                time.sleep(wait_s)
            sock.send(frame)


if __name__ == "__main__":
    main()
