"""What stories of the Python package need: a server that can be killed and started again, and workers under way."""

import contextlib
import random
import shutil
import socket
import subprocess
import sys
import threading

import courant
from conftest import BIN, PATIENCE, clean_environment
from programs import Program


def steady_port():
    """A free port that no connection is given by itself. One that is might be taken while the server that had it is away: by a client that
    tries to reach it, and so reaches itself."""
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Service:
    """A server by itself, whose address stays the same when it is started again."""

    def __init__(self, folder, *flags, scheme="http"):
        folder.mkdir(parents=True, exist_ok=True)
        self.data = folder / "data"
        self.flags = flags
        self.port = steady_port()
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self.program = None
        self.start()

    def start(self):
        fast = ("--retry-base", "10ms", "--retry-max", "100ms")
        address = ("--data-dir", self.data, "--grpc", f"127.0.0.1:{self.port}")
        self.program = Program("courant-server", *address, *fast, *self.flags)
        self.program.says("address=")

    def kill(self):
        self.program.stop()

    def restart(self):
        self.kill()
        self.start()

    def forget(self):
        """Its log and its documents are gone, but not its secret."""
        secret = (self.data / "secret").read_bytes()
        shutil.rmtree(self.data)
        self.data.mkdir()
        (self.data / "secret").touch(mode=0o600)
        (self.data / "secret").write_bytes(secret)

    def token(self, user, *roles, ttl="1h"):
        flags = [flag for role in roles for flag in ("--role", role)]
        command = [BIN, "token", "--data-dir", self.data, "--sub", user, "--ttl", ttl, *flags]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=clean_environment()).stdout.strip()

    def client(self, user="alice", *roles, **options):
        return courant.Client(self.url, token=self.token(user, *roles), **options)

    @contextlib.contextmanager
    def working(self, *handlers, user="worker", **options):
        """A worker in this process while the block runs."""
        worker = courant.Worker(self.url, handlers, token=self.token(user, "worker"), **options)
        failed = []

        def run():
            try:
                worker.run()
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield worker
        finally:
            worker.stop()
            thread.join(PATIENCE)
            assert not thread.is_alive(), "the worker did not stop"
        if failed:
            raise failed[0]


class Script:
    """A worker as a program of its own."""

    def __init__(self, path, *arguments):
        self.process = subprocess.Popen([sys.executable, path, *arguments], stdout=subprocess.PIPE, text=True, env=clean_environment())

    def says(self, line):
        """Waits until it prints this line."""
        for said in self.process.stdout:
            if said.strip() == line:
                return
        raise AssertionError(f"the worker ended with {self.process.wait()} before it said {line!r}")

    def stop(self):
        self.process.kill()
        self.process.wait()


class Way:
    """A proxy in front of the server, which can swallow answers and cut connections."""

    def __init__(self, port):
        self._port = port
        self._swallows = threading.Event()
        self._pairs = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._port))
                self._pairs.append((client, server))
                threading.Thread(target=self._pass_on, args=(client, server, None), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, client, self._swallows), daemon=True).start()

    def _pass_on(self, source, target, swallows):
        with contextlib.suppress(OSError):
            while True:
                content = source.recv(65536)
                if not content:
                    break
                if swallows is None or not swallows.is_set():
                    target.sendall(content)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)

    def swallow(self):
        """From now on no answer arrives."""
        self._swallows.set()

    def cut(self):
        """All connections end; new ones are whole."""
        self._swallows.clear()
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def stop(self):
        self._listener.close()
        self.cut()
