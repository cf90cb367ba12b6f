"""A kernel that starts in a tenth of a second: `python quick_kernel.py CONNECTION_FILE`.

A cell is the name of a task. The kernel notes in the file RUN_LOG that it ran, and prints it.
"""

import hashlib
import hmac
import json
import os
import sys

import zmq

INFO = {
    "protocol_version": "5.3",
    "implementation": "quick",
    "implementation_version": "1",
    "language_info": {"name": "quick", "version": "1", "mimetype": "text/plain"},
    "banner": "",
    "status": "ok",
}


class Kernel:
    def __init__(self, connection):
        self._key = connection["key"].encode()
        self._count = 0
        context = zmq.Context()
        self._sockets = {}
        for channel, kind in (("shell", zmq.ROUTER), ("control", zmq.ROUTER), ("iopub", zmq.PUB)):
            self._sockets[channel] = context.socket(kind)
            port = connection[f"{channel}_port"]
            self._sockets[channel].bind(f"{connection['transport']}://{connection['ip']}-{port}")

    def serve(self):
        poller = zmq.Poller()
        for channel in ("shell", "control"):
            poller.register(self._sockets[channel], zmq.POLLIN)
        while True:
            for socket, _ in poller.poll():
                frames = socket.recv_multipart()
                place = frames.index(b"<IDS|MSG>")
                header, content = json.loads(frames[place + 2]), json.loads(frames[place + 5])
                kind = header["msg_type"]
                self._publish("status", {"execution_state": "busy"}, header)
                reply = self._answer(kind, content, header)
                name = kind.replace("_request", "_reply")
                self._send(socket, frames[:place], name, reply, header)
                self._publish("status", {"execution_state": "idle"}, header)
                if kind == "shutdown_request":
                    return

    def _answer(self, kind, content, header):
        if kind == "kernel_info_request":
            return INFO
        if kind != "execute_request":
            return {"status": "ok", "restart": False}
        self._count += 1
        name = content["code"].strip()
        log = os.open(os.environ["RUN_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.write(log, f"{name}\n".encode())
        os.close(log)
        self._publish("stream", {"name": "stdout", "text": f"{name}\n"}, header)
        return {"status": "ok", "execution_count": self._count, "user_expressions": {}}

    def _publish(self, kind, content, parent):
        self._send(self._sockets["iopub"], [kind.encode()], kind, content, parent)

    def _send(self, socket, to, kind, content, parent):
        header = {
            "msg_id": os.urandom(8).hex(),
            "msg_type": kind,
            "username": "quick",
            "session": "quick",
            "date": "2026-01-01T00:00:00Z",
            "version": "5.3",
        }
        parts = [json.dumps(part).encode() for part in (header, parent, {}, content)]
        signature = hmac.new(self._key, b"".join(parts), hashlib.sha256).hexdigest().encode()
        socket.send_multipart([*to, b"<IDS|MSG>", signature, *parts])


with open(sys.argv[1]) as file:
    kernel = Kernel(json.load(file))
kernel.serve()
