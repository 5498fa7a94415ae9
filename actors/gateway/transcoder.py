"""Bodies too large for the Gateway's thread, decoded and encoded in a process of their own.

A decoder holds Python's lock until it is done, which for 9 MiB of JSON is a third of a second in
which nobody else would run. The child process ends when its input does, however this one ends.
"""

from __future__ import annotations

import pickle
import struct
import subprocess
import sys
from typing import IO, Any, Final

import structlog

from actors.address import Ref
from actors.messages import BodyDecoded, BodyEncoded, DecodeBody, EncodeBody
from actors.services import Services
from actors.supervised import ThreadedActor
from protocol.codec import json_to_cbor
from protocol.dialects import decode_request

log = structlog.get_logger(__name__)

_LENGTH: Final = struct.Struct(">Q")
_DECODE: Final = b"d"
_ENCODE: Final = b"e"


class Transcoder(ThreadedActor):
    """Gives large bodies to its child process, one at a time, and tells the Gateway the result."""

    kind = "transcoder"

    def __init__(self, parent: Ref, services: Services) -> None:
        super().__init__(parent)
        self._gateway = services.gateway
        self._child: subprocess.Popen[bytes] | None = None

    def handle(self, message: Any) -> None:
        """Have a body decoded or encoded; where the child dies, this actor does too."""
        match message:
            case DecodeBody(key, body):
                self._gateway.tell(BodyDecoded(key, self._ask(_DECODE, body)))
            case EncodeBody(key, body):
                self._gateway.tell(BodyEncoded(key, self._ask(_ENCODE, body)))

    def end(self) -> None:
        """End the child process."""
        if self._child is not None:
            self._child.kill()
            self._child.communicate()

    def abandon(self) -> None:
        """End the child process, where it has not ended already."""
        self.end()

    def _ask(self, task: bytes, body: bytes) -> Any:
        if self._child is None:
            # Started for the first large body: most backends never see one.
            self._child = subprocess.Popen(
                # -P: not what happens to be called `actors` in the current directory
                [sys.executable, "-P", "-m", "actors.gateway.transcoder"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # a terminal's Ctrl-C is for the backend to handle
            )
        child_in, child_out = self._child.stdin, self._child.stdout
        if child_in is None or child_out is None:
            raise RuntimeError("the child was started with pipes")
        child_in.write(task)
        _write(child_in, body)
        return pickle.loads(_read(child_out))  # noqa: S301 - from our own child


def _write(stream: IO[bytes], data: bytes) -> None:
    stream.write(_LENGTH.pack(len(data)))
    stream.write(data)
    stream.flush()


def _read(stream: IO[bytes]) -> bytes:
    (length,) = _LENGTH.unpack(_exactly(stream, _LENGTH.size))
    return _exactly(stream, length)


def _exactly(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) != length:
        raise EOFError("the other side of the pipe has ended")
    return data


def main() -> None:
    """The child process: answer until the input ends."""
    source = sys.stdin.buffer
    # Not sys.stdout: with PYTHONUNBUFFERED it drops what a write that was interrupted has left.
    with open(sys.stdout.fileno(), "wb", closefd=False) as target:
        while True:
            try:
                task, body = _exactly(source, len(_DECODE)), _read(source)
            except EOFError:
                return
            result = decode_request(body) if task == _DECODE else json_to_cbor(body)
            _write(target, pickle.dumps(result))


if __name__ == "__main__":
    main()
