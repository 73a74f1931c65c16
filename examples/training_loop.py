"""A plain training loop publishes its loss and weights: python examples/training_loop.py [URL]

It needs no asyncio: the connection has a thread of its own. `publish_nowait` takes a microsecond or two, and packs its
values into record batches. To watch the loop while it runs: frys sub 'regression/*'
"""

import sys

import numpy as np

from gateway.client.sync import connect

URL = sys.argv[1] if len(sys.argv) > 1 else "ws://127.0.0.1:8765"
STEPS, ROWS, FEATURES = 2000, 256, 32

random = np.random.default_rng(0)
truth = random.standard_normal(FEATURES)
inputs = random.standard_normal((ROWS, FEATURES))
targets = inputs @ truth
weights = np.zeros(FEATURES)

with connect(URL, client_id="regression") as client:
    for step in range(STEPS):
        errors = inputs @ weights - targets
        weights -= 0.1 / ROWS * inputs.T @ errors
        client.publish_nowait("regression/loss", np.float64(errors @ errors / ROWS), kind="event")
        if step % 500 == 499:
            result = client.publish("regression/weights", weights, kind="state", headers={"step": step})
            print(f"step {step}: weights at offset {result.offset}, acknowledged in {result.latency_s * 1e3:.2f} ms")
    with client.subscribe("regression/weights") as messages:
        newest = next(iter(messages))
        print(f"the gateway's weights differ from the truth by at most {np.abs(newest.tensor - truth).max():.1e}")
