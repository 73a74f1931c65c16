"""Traffic for the tests of the page: ``traffic.py URL`` prints a line once all of it flows, until it is killed."""

import sys
import threading
import time

import numpy as np

from gateway.client.sync import connect

URL = sys.argv[1]


def train() -> None:
    """Publish a state and events."""
    with connect(URL, client_id="trainer") as client, client.presence("train", metadata={"gpu": 3}) as members:
        for step in range(1_000_000):
            members.set_awareness({"step": step})
            client.publish("train/weights", np.full((32, 16), step, np.float32), kind="state")
            client.publish_nowait("train/loss", np.float32(1 / (1 + step)), kind="event")
            time.sleep(0.05)


def simulate() -> None:
    """Publish a field of waves that move."""
    y, x = np.mgrid[:192, :256].astype(np.float32)
    with connect(URL, client_type="workflow", client_id="simulation") as client:
        for step in range(1_000_000):
            field = np.sin((x + step) / 17) * np.cos(y / 23) + np.sin(np.hypot(x - 128, y - 96) / 9 - step / 5) / 3
            client.publish("sim/field", field, kind="state", headers={"step": step})
            time.sleep(0.1)


def watch(started: threading.Event) -> None:
    """Receive all of it."""
    with (
        connect(URL, client_type="workflow", client_id="watcher") as client,
        client.subscribe("**", observe=True) as messages,
    ):
        for _ in messages:
            started.set()


def refuse(there: threading.Event) -> None:
    """Refuse a task until it is a dead letter."""
    with connect(URL, client_id="worker") as client, client.subscribe("plan/tasks", auto_ack=False) as tasks:
        there.set()
        for task in tasks:
            task.nack()


def obey(there: threading.Event) -> None:
    """Carry commands out: publish the tensors of each as a state."""
    with connect(URL, client_type="workflow", client_id="obedient") as client, client.subscribe("train/do") as commands:
        there.set()
        for command in commands:
            client.publish("train/done", dict(command.tensors), kind="state", headers=command.headers)


flows, works, obeys = (threading.Event() for _ in range(3))
for target, arguments in ((watch, (flows,)), (refuse, (works,)), (obey, (obeys,)), (train, ()), (simulate, ())):
    threading.Thread(target=target, args=arguments, daemon=True).start()
with connect(URL, client_id="planner", on_error=lambda _: None, on_notice=lambda _: None) as planner:
    works.wait()
    planner.publish("plan/tasks", np.arange(3.0), kind="collaboration")
    obeys.wait()
    flows.wait()
    print("flows", flush=True)
    threading.Event().wait()
