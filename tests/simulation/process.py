"""One operator process: the real controller, memory, writer, lists, Lease, wired as the program wires them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random

from mlops.cluster.events import Events
from mlops.cluster.job_ends import JobEnds
from mlops.cluster.lease import Lease, LeaseLost
from mlops.cluster.lease_api import ApiLease
from mlops.cluster.memory import Memory
from mlops.cluster.resync import Resync
from mlops.cluster.stopping import wind_down
from mlops.cluster.writer import KubernetesCluster
from mlops.engine.controller import Controller
from mlops.engine.metrics import Counters
from mlops.engine.planners import PLANNERS
from mlops.planning.plan import Manifest, Settings
from tests.simulation.api_server.server import ApiServer
from tests.simulation.loop import Loop, Process, SimulatedClock
from tests.simulation.network import Network, NoMetrics, SimulatedClient, Weather
from tests.simulation.watches import Watches

SYSTEM = "mlops-system"
LEASE = "mlops-operator"


class Operator(Process):
    """A process that may be stopped, killed, told to end, and whose network and clock may be bad.

    `exit_code` is None while it runs. What `kill` leaves on its way to the API server still arrives.
    """

    def __init__(
        self,
        name: str,
        loop: Loop,
        server: ApiServer,
        network: Network,
        weather: Weather,
        random: Random,
        settings: Settings,
        *,
        skew: float = 0.0,
    ) -> None:
        super().__init__(name)
        self.weather = weather
        self.exit_code: int | None = None
        # What ended it, beside the loss of its Lease.
        self.error: BaseException | None = None
        self._loop, self._server, self._random = loop, server, random
        self._stopping = asyncio.Event()
        clock = SimulatedClock(loop, skew)
        self._client = SimulatedClient(network, name, weather)
        self._write_client = SimulatedClient(network, name, weather, seconds=4.5)
        lease_client = SimulatedClient(network, name, weather, seconds=5.0)
        self.memory = Memory()
        self.lease = Lease(
            ApiLease(lease_client, SYSTEM, LEASE),
            namespace=SYSTEM,
            name=LEASE,
            identity=name,
            clock=clock,
            random=random,
        )
        self.metrics = Counters()
        self._events = Events(self._write_client, lambda: self.lease.held, NoMetrics())  # type: ignore[arg-type]
        self.controller = Controller(
            KubernetesCluster(self._write_client, self.memory, self._may_write, self._events),
            PLANNERS,
            settings,
            clock,
            metrics=self.metrics,
            random=random,
            longest_delay=15.0,
        )
        self._resync = Resync(self._client, self.memory, (), NoMetrics(), random=random)  # type: ignore[arg-type]
        self._job_ends = JobEnds(self._client, self.memory, random=random)
        self.watches: Watches | None = None
        # Told of each change of what it knows.
        self.learning: Callable[[str, Manifest | None, Manifest | None], None] = lambda name, old, new: None

    def start(self) -> None:
        """Begin."""
        self._loop.spawn(self, self._main)

    def kill(self) -> None:
        """End at once (SIGKILL)."""
        self.alive, self.exit_code = False, 137
        self._close()

    def terminate(self) -> None:
        """Ask it to end (SIGTERM)."""
        self._stopping.set()

    @property
    def idle(self) -> bool:
        """Return whether it has nothing to do until something happens, or the clock moves."""
        return self.controller.idle

    @property
    def outcomes(self) -> Counter[str]:
        """Return how many reconciles ended how."""
        found: Counter[str] = Counter()
        for (_, outcome), count in self.metrics.reconciles.items():
            found[outcome] += count
        return found

    async def _main(self) -> None:
        self.watches = Watches(self._loop, self._server, self.weather, self._random, self._seen)
        self.watches.start()
        stop = asyncio.create_task(self._stopping.wait())
        tasks = [
            asyncio.create_task(work)
            for work in (self._resync_loop(), self._lead(), self._job_ends.run(), self._events.run(), self.lease.run())
        ]
        done, _ = await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
        errors = [error for task in done if (error := task.exception()) is not None]
        self._stopping.set()
        await wind_down(self._write_client, self._events, [stop, *tasks], self.lease)
        self._close()
        self.exit_code, self.alive = (1 if errors else 0), False
        self.error = next((error for error in errors if not isinstance(error, LeaseLost)), None)

    async def _resync_loop(self) -> None:
        await self._resync.fill()
        self._job_ends.start()
        await self._resync.run()

    async def _lead(self) -> None:
        await self._resync.filled.wait()
        await self.lease.acquired()
        await self._resync.fill()
        self.memory.watch(self._observe)
        await self.controller.run()

    def _seen(self, type_: str | None, manifest: Manifest) -> None:
        if type_ == "DELETED":
            self.memory.forget(manifest)
        else:
            self.memory.take(manifest)

    def _observe(self, old: Manifest | None, new: Manifest | None) -> None:
        self.learning(self.name, old, new)
        self.controller.observe(old, new)

    def _may_write(self) -> bool:
        return not self._stopping.is_set() and self.lease.held

    def _close(self) -> None:
        if self.watches is not None:
            self.watches.close()
