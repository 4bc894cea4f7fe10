"""A migration by three workers and Debian's nats-server: one is killed in the middle, the queue is restarted, a worker is cut off for
ten seconds, a message comes twice. The registry is what one machine alone gives, and each image is pushed once."""
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

from cases.migrate import Migration, served, tags
from cases.registry import Registry
from lib import TOP, Failure

SMALL, FULL = (30, 60_000), (120, 400_000)  # good images, bytes of a file in them
ACK_WAIT = 6  # seconds


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Queue:
    """nats-server with JetStream, on this machine."""

    def __init__(self, t):
        self.t, self.port, self.store = t, free_port(), t.path("nats", "store")
        self.start()

    def start(self):
        self.process = subprocess.Popen(["nats-server", "--jetstream", "--store_dir", self.store, "--addr", "127.0.0.1", "--port",
                                         str(self.port)], stdin=subprocess.DEVNULL, stdout=open(self.t.path("nats", "log"), "a"),
                                        stderr=subprocess.STDOUT)
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.1)
        raise Failure("nats-server does not start: " + open(self.t.path("nats", "log")).read()[-600:])

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def publish(self, subject, payload):
        with socket.create_connection(("127.0.0.1", self.port), 5) as s:
            s.recv(65536)
            s.sendall(b"CONNECT {\"verbose\":false}\r\nPUB %s %d\r\n%s\r\nPING\r\n" % (subject.encode(), len(payload), payload))
            s.settimeout(5)
            s.recv(65536)


class Wire:
    """A way to the queue that can be cut: what is sent goes nowhere, and nobody is told."""

    def __init__(self, port):
        self.port, self.is_cut = port, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "nats://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.port), 5)
            except OSError:
                continue
            far.settimeout(None)
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    def pump(self, a, b):
        try:
            while data := a.recv(65536):
                while self.is_cut:
                    time.sleep(0.1)
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def pushes(log):
    """How often each manifest was put under a tag."""
    counts = {}
    with open(log, errors="replace") as f:
        for line in f:
            if "response completed" in line and "http.request.method=PUT" in line and "/manifests/" in line:
                uri = line.split("http.request.uri=")[1].split()[0].strip('"')
                counts[uri] = counts.get(uri, 0) + 1
    return counts


def job_files(t):
    """The files of deploy/, by the schemas of Kubernetes and a parser of HCL, and their arguments by imageadm."""
    packages = t.path("packages", "x")[:-2]
    t.must(sys.executable, "-m", "pip", "install", "-q", "--target", packages, "kubernetes-validate==1.31.0", "python-hcl2==7.2.1")
    checked = t.run(sys.executable, os.path.join(TOP, "deploy", "check"), t.bin, env=dict(os.environ, PYTHONPATH=packages))
    said = (checked.stdout + checked.stderr).decode("utf-8", "replace")
    t.check("job files", checked.returncode == 0, said[-600:])


def run(t):
    t.guard(job_files)
    count, size = FULL if t.full else SMALL
    with served(t, random.Random(16), count, size) as (server, good, bad):
        alone = Migration(t, server, "alone")
        with Registry(t, "alone-registry") as registry:
            alone.plan(registry.name("images"))
            alone.done()
            want = tags(registry)
        t.check("one machine alone", len(want) == 2 * len(good), str(len(want)))
        queue = Queue(t)
        try:
            t.guard(together, server, queue, good, bad, want)
        finally:
            queue.process.kill()
            queue.process.wait()


def together(t, server, queue, good, bad, want):
    m = Migration(t, server, "queue")
    nats = "nats://127.0.0.1:%d" % queue.port
    with Registry(t, "queue-registry") as registry:
        m.plan(registry.name("images"))
        none = t.run(*m.args("worker", "0" * 16, "--nats", nats))
        t.check("nothing was submitted", none.returncode == 3 and b"no migration of that key" in none.stderr, str(none.stderr)[:300])
        submit = ("submit", m.plan_file, "--nats", nats, "--json", "--ack-wait", str(ACK_WAIT))
        key = json.loads(t.must(*m.args(*submit)))["key"]
        wire = Wire(queue.port)

        def worker(name, address):
            # Slow enough that something is left to be disturbed.
            command = m.args("worker", key, "--nats", address, "--name", name, "--jsonl", "--limit-rate", "2MiB")
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=open(t.path("queue", name), "w"),
                                    stderr=open(t.path("queue", name + ".err"), "w"))
        workers = {"one": worker("one", nats), "two": worker("two", nats), "three": worker("three", wire.address)}
        lines = lambda: sum(len(open(t.path("queue", n)).read().splitlines()) for n in workers)
        wait(lambda: lines() >= 3, "nobody begins", t)
        workers["one"].send_signal(signal.SIGKILL)
        workers["one"].wait()
        # A message that came twice: the subject is that of the queue.
        first = json.loads(open(t.path("queue", "one")).readline() or open(t.path("queue", "two")).readline())["id"]
        for manifest in [first] + [g["uuid"] for g, _ in good if "origin" not in g][:3]:
            queue.publish("migrate.%s.image" % key, manifest.encode())
        before = lines()
        queue.stop()
        time.sleep(1)
        queue.start()
        wait(lambda: lines() > before, "nobody goes on after the queue was restarted", t)
        wire.is_cut = True
        time.sleep(10)
        wire.is_cut = False
        workers["four"] = worker("four", nats)
        for name, process in workers.items():
            if name != "one":
                try:
                    code = process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    code = "never"
                t.check("worker %s comes to its end" % name, code == 0, "%s: %s" % (code, open(t.path("queue", name + ".err")).read()[-400:]))
        found = tags(registry)
        t.check("the same registry", found == want, str(set(found.items()) ^ set(want.items()))[:600])
        twice = {uri: n for uri, n in pushes(registry.log).items() if n > 1 and "sha256:" not in uri}
        t.check("each image is pushed once", not twice, str(twice)[:600])
        report = json.loads(t.must(*m.args("report", m.plan_file, "--nats", nats, "--json")))
        totals = report["totals"]
        t.check("the queue's report", (totals["done"], totals["failed"], totals["left"]) == (len(good), len(bad), 0), str(totals))
        shares = {n: len(open(t.path("queue", n)).read().splitlines()) for n in workers}
        t.check("the work was shared", sum(share > 0 for share in shares.values()) >= 3, str(shares))
        print("note: results by worker: %s" % shares, flush=True)
        # Submitted again nothing is to be done; with --retry the damaged are tried, and given up.
        again = json.loads(t.must(*m.args(*submit)))
        t.check("submitted again", (again["queued"], again["done"], again["failed"]) == (0, len(good), len(bad)), str(again))
        retry = json.loads(t.must(*m.args(*submit, "--retry")))
        t.check("retry queues the damaged", retry["queued"] == len(bad) - 1, str(retry))
        asked = len(server.log)
        t.must(*m.args("worker", key, "--nats", nats), timeout=200)
        t.check("and tries them", len(server.log) > asked)
        queue.stop()
        gone = t.run(*m.args("status", m.plan_file, "--nats", nats), timeout=300) if t.full else None
        t.check("a queue that is gone", gone is None or (gone.returncode == 1 and b"nats-server" in gone.stderr), str(gone))


def wait(done, why, t):
    for _ in range(600):
        if done():
            return
        time.sleep(0.1)
    errors = [open(t.path("queue", n)).read()[-300:] for n in os.listdir(t.path("queue", "x")[:-2]) if n.endswith(".err")]
    raise Failure("%s: %s" % (why, errors))
