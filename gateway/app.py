"""Wiring of a gateway: the one module that knows every part."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from socket import gaierror
from typing import Final

from gateway.admin.pages.folders import has_dashboard
from gateway.admin.port import AdminPort
from gateway.config import Settings
from gateway.config.address import url_of
from gateway.config.bounds import check_settings, check_start
from gateway.connections.core import Core
from gateway.connections.ports import Authorizer, Clock, DeliveryPolicy, DurableStore
from gateway.errors import CannotListen, InvalidArgument, StoreFailed
from gateway.optimizer.recording import Recording
from gateway.optimizer.sampled_policy import SampledPolicy
from gateway.security.allow_all import AllowAll
from gateway.server.descriptors import descriptor_limit
from gateway.server.listener import Listener, check_port
from gateway.server.loop import LoopClock, ThreadWorkers
from gateway.server.memory import ProcessMemory
from gateway.server.steady_clock import ELAPSED_NS
from gateway.server.stopping import StopTimes, finish, stop_times
from gateway.streams.store_files import kept_together

LEAST_STORING_S: Final = 0.25
"""Least time for the store, and for the traffic history, when the other steps of stopping have taken all of theirs."""

LAST_RECORDS_S: Final = 0.25
"""Longest time for the last records of the traffic history before clients are told of the stop."""

logger = logging.getLogger(__name__)

BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
"""File of Linux that holds another text after each start of the machine."""


def boot_id() -> str:
    """Return a text that is another after each start of the machine (at each call, where the system has none)."""
    try:
        return BOOT_ID.read_text("ascii").strip()
    except OSError:
        return str(uuid.uuid4())


class Gateway:
    """Gateway in this process.

    Args:
        settings: its configuration.

    Raises:
        InvalidArgument: both ports are the same, or streams are to outlive the process, but there is no store; or the
            keys of tokens cannot be read.
        StoreFailed: the file of durable streams cannot be used.

    Attributes:
        core: its connections and streams.
        port: the port that accepts WebSockets; 0 before :meth:`start`.
        addresses: addresses, of numbers, that it is bound to; none before :meth:`start`.
        url: URL for clients on this machine; empty before :meth:`start`.
    """

    def __init__(self, settings: Settings) -> None:
        check_start(settings)
        loop = asyncio.get_running_loop()
        self.settings = settings
        clock = LoopClock(loop)
        authorizer = self._authorizer(clock)
        self._workers = ThreadWorkers(loop, settings.worker_threads)
        self._store = self._open_store(settings.store_path, clock, loop)
        policy: DeliveryPolicy = SampledPolicy(self._workers)
        self._history = self._open_history(policy, clock)
        try:
            self.core = Core(
                settings.core,
                clock,
                self._workers,
                policy if self._history is None else self._history.policy,
                authorizer,
                self._store,
                memory=ProcessMemory(),
            )
        except BaseException:
            if self._store is not None:
                with suppress(StoreFailed):
                    self._store.close()
            raise
        self._listener = Listener(self.core)
        self.core.on_drain = self.begin_stop
        self._warn_of_settings()
        self._admin: AdminPort | None = None
        self._stopping: asyncio.Task[None] | None = None
        self.port = 0
        self.addresses: Sequence[str] = ()
        self.url = ""

    @property
    def admin_port(self) -> int | None:
        """Port of the admin HTTP API, once started; ``None`` if the gateway has none."""
        return None if self._admin is None else self._admin.port

    @property
    def admin_url(self) -> str | None:
        """URL of the admin HTTP API, once started; ``None`` if the gateway has none."""
        admin = self._admin
        return None if admin is None else url_of("http", self.settings.host, admin.address, admin.port)

    @property
    def dashboard_url(self) -> str | None:
        """URL of the dashboard, once started; ``None`` if there is no admin port, or the dashboard was not built."""
        admin_url = self.admin_url
        return None if admin_url is None or not has_dashboard() else f"{admin_url}/"

    async def start(self) -> None:
        """Begin to accept connections.

        Raises:
            CannotListen: a port cannot be bound; the error names both ports if neither can.
        """
        host, faults = self.settings.host, dict[str, OSError | ValueError]()
        if self._history is not None:
            self._history.begin(self.core)
        if self.settings.admin_port is not None:
            try:
                self._admin = await AdminPort.bind(host, self.settings.admin_port)
            except (OSError, ValueError) as error:  # ValueError: no name of a host
                faults["admin_port"] = error
        try:
            if faults:
                await check_port(host, self.settings.port)
            else:
                self.port = await self._listener.start(host, self.settings.port)
        except (OSError, ValueError) as error:
            faults["port"] = error
        if faults:
            await self._stop_admin(0.0)
            raise _cannot_listen(self.settings, faults) from next(iter(faults.values()))
        self.addresses = self._listener.addresses
        self.url = url_of("ws", self.settings.host, self.addresses[0], self.port)
        if self._admin is not None:
            hosts = self.settings.admin_hosts
            self._admin.start(self.core, descriptor_limit(), self._history, self._listener.take_over, hosts)

    def begin_stop(self, asker: str) -> float:
        """Begin to stop as :meth:`stop` does, and do not wait for the end: an operator has asked for it.

        Args:
            asker: who that is, for the log.

        Returns:
            the seconds within which all connections are closed.
        """
        deadline_s = self.settings.drain_deadline_s
        if self._stopping is None:
            logger.info("stopping within %g s (asked by %s)", deadline_s, asker)
            self._stopping = asyncio.get_running_loop().create_task(self._stop("the gateway is stopping"))
        return deadline_s

    async def stop(self, reason: str = "the gateway is stopping") -> None:
        """Stop gracefully: send GO_AWAY to clients, deliver queued messages, close, store what waits.

        Takes at most ``drain_deadline_s`` of the settings, and a second for the store if that is less. A second call
        waits for the end of the first.

        Raises:
            StoreFailed: the gateway has stopped, but the store could not write everything, or did not in time; the
                message says which files belong together.
        """
        if self._stopping is None:
            self._stopping = asyncio.get_running_loop().create_task(self._stop(reason))
        await asyncio.shield(self._stopping)

    async def _stop(self, reason: str) -> None:
        deadline_s = left_s = self.settings.drain_deadline_s
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        times = stop_times(began_s, deadline_s)
        if self._history is not None:
            for _ in self._history.close_records():  # as long as there are receivers
                if loop.time() - began_s > min(LAST_RECORDS_S, deadline_s / 8):
                    break
                await asyncio.sleep(0)
            left_s -= loop.time() - began_s
        await self._listener.stop(reason, left_s)
        # After the listener, so that /readyz reports the stop as long as it lasts.
        await self._stop_admin(times.released_s - loop.time())
        try:
            await finish(self._workers.close, times.released_s)
        except TimeoutError:
            if self._workers.busy:  # otherwise the threads just had no time to end
                logger.warning("a thread still encodes or reads at the drain deadline, and is not waited for")
        history = loop.create_task(self._stop_history(times.stored_s))
        try:
            await self._stop_store(times, deadline_s)
        finally:
            await history

    async def _stop_history(self, until_s: float) -> None:
        """Have the traffic history written beside the store; a writing process that does not end is not waited for."""
        if self._history is None:
            return
        now_s = asyncio.get_running_loop().time()
        timeout_s = max(until_s - now_s, LEAST_STORING_S)
        with suppress(TimeoutError, OSError):
            await finish(partial(self._history.close, timeout_s), now_s + timeout_s + 2 * LEAST_STORING_S)

    async def _stop_store(self, times: StopTimes, deadline_s: float) -> None:
        if self._store is None:
            return
        loop = asyncio.get_running_loop()
        try:
            await finish(self._store.close, max(times.stored_s, loop.time() + LEAST_STORING_S))
        except TimeoutError:
            path = self.settings.store_path
            assert path is not None
            problem = f"store {path} was not closed within {deadline_s:g} s"
            cause = "its disk is slow or does not answer, or another program holds it"
            waiting = self._store.waiting_bytes
            left = f"; {waiting} bytes, which were not acknowledged, may not be stored" if waiting else ""
            raise StoreFailed(f"{problem}: {cause}{left}; {kept_together(path)}") from None

    def _authorizer(self, clock: Clock) -> Authorizer:
        if not self.settings.security.keys:
            return AllowAll()
        # Late, because the import takes 0.1 s, and a gateway without tokens does not need it.
        from gateway.security.token_authorizer import TokenAuthorizer  # noqa: PLC0415

        return TokenAuthorizer(self.settings.security, clock)

    def _open_store(self, path: Path | None, clock: Clock, loop: asyncio.AbstractEventLoop) -> DurableStore | None:
        if path is None:
            return None
        # Late, because the import takes 4 % of the start, and a gateway without a store does not need it.
        from gateway.streams.sqlite.store import SqliteStreamStore  # noqa: PLC0415
        from gateway.streams.sqlite.store_clock import Machine  # noqa: PLC0415

        machine = Machine(boot_id(), time.monotonic_ns, ELAPSED_NS, clock.time_ns)
        return SqliteStreamStore(path, machine, loop.call_soon_threadsafe, self._workers.submit)

    def _open_history(self, policy: DeliveryPolicy, clock: Clock) -> Recording | None:
        path = self.settings.optimizer.history_path
        if path is None:
            return None
        # Late, because the import takes 3 % of the start, and few gateways need it.
        from gateway.optimizer.history.traffic_history import TrafficHistory  # noqa: PLC0415

        optimizer, payloads = self.settings.optimizer, None
        stored = [pattern.text for pattern, config in self.settings.core.rules.rules if config.store_payloads]
        if stored:
            from gateway.optimizer.payloads.payload_store import PayloadStore  # noqa: PLC0415

            logger.info("samples of payloads of streams %s are stored below %s", ", ".join(stored), path)
            payloads = PayloadStore(path, optimizer, clock, self._workers)
        if not optimizer.trial_cpu_share:
            return TrafficHistory(path, optimizer, policy, clock, self._workers, payloads)
        from gateway.optimizer.decisions.learner import Learner  # noqa: PLC0415
        from gateway.optimizer.prediction.predictor import Predictor  # noqa: PLC0415
        from gateway.optimizer.shadow.shadow_trials import ShadowTrials  # noqa: PLC0415

        learner = Learner(policy, path, clock, self._workers) if optimizer.learn else None
        recorded = learner.policy if learner else policy
        history = TrafficHistory(path, optimizer, recorded, clock, self._workers, payloads)
        predictor = Predictor(path) if learner else None
        return ShadowTrials(history, optimizer.trial_cpu_share, clock, self._workers, learner, predictor)

    def _warn_of_settings(self) -> None:
        """Log a setting with which no client can work, and report the gateway as not ready.

        A gateway is not kept from starting: after an update that checks more, somebody may want its streams back
        before its configuration is corrected.
        """
        try:
            check_settings(self.settings)
        except InvalidArgument as error:
            self.core.misconfigured = str(error)
            logger.error("clients cannot work with this configuration, /readyz answers 503: %s", error)

    async def _stop_admin(self, timeout_s: float) -> None:
        if self._admin is not None:
            await self._admin.stop(timeout_s)


def _cannot_listen(settings: Settings, faults: Mapping[str, OSError | ValueError]) -> CannotListen:
    """Return the error of a start that ports have failed, by their settings; ports of one reason share its words."""
    by_reason: dict[str, list[str]] = {}
    for name in sorted(faults, reverse=True):
        port = f"{name.replace('_', ' ')} {getattr(settings, name)}"
        by_reason.setdefault(_reason_of(faults[name]), []).append(port)
    host = settings.host or "all addresses"
    problem = "; ".join(f"{' and '.join(ports)} on {host}: {reason}" for reason, ports in by_reason.items())
    in_use = [name for name, error in faults.items() if getattr(error, "errno", None) == errno.EADDRINUSE]
    return CannotListen(problem, in_use)


def _reason_of(error: OSError | ValueError) -> str:
    """Return the system's words for an error; asyncio, uvloop and the socket module put others around them."""
    match error:
        case gaierror(strerror=str(words)):  # its number is none of the system's
            return words
        case OSError(errno=int(number)):
            return os.strerror(number)
    return str(error)
