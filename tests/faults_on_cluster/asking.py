"""Somebody who asks the model all the time, and counts what is not answered."""

from __future__ import annotations

import json
import threading
import time

import urllib3

from tests.e2e import scenarios
from tests.faults_on_cluster.place import Place


class Asking:
    """Asks the model's Service `rate` times a second, from this machine, each time over a new connection.

    What takes longer than its turn puts off the next ones, which then come at once: none is left out.
    """

    def __init__(self, there: Place, *, rate: float = 20.0) -> None:
        self._pause = 1.0 / rate
        spec = there.get("service", "parts-production")["spec"]
        self._url = f"http://{spec['clusterIP']}:{spec['ports'][0]['port']}/v2/models/parts/infer"
        inputs = [{"name": name, "datatype": "FP64", "shape": [1, 1], "data": [0.5]} for name in scenarios.INPUTS]
        self._body = json.dumps({"inputs": inputs})
        self._over = threading.Event()
        self.answered, self.failed = 0, list[str]()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(30)

    def _ask(self) -> None:
        headers = {"Connection": "close", "Content-Type": "application/json"}
        due = time.monotonic()
        while not self._over.wait(max(0.0, due - time.monotonic())):
            due += self._pause
            try:
                answer = urllib3.request("POST", self._url, body=self._body, headers=headers, retries=False, timeout=10)
            except urllib3.exceptions.HTTPError as error:
                self.failed.append(str(error))
                continue
            if answer.status == 200:
                self.answered += 1
            else:
                self.failed.append(f"{answer.status} {answer.data!r}")
