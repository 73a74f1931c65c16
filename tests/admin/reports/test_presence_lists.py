"""Scopes and members on the admin port."""

from __future__ import annotations

import httpx

from gateway.admin.application import make_application
from gateway.admin.reports.metrics import Metrics
from gateway.errors import Code
from tests.admin.files import failure_of
from tests.connections.memory import World
from tests.connections.presence.attending import join, pass_window, show, watch


def client_of(world: World) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(make_application(world.core, Metrics(world.core)))
    return httpx.AsyncClient(transport=transport, base_url="http://gateway")


async def test_scopes_and_their_members() -> None:
    world = World()
    one, other = world.peer("one"), world.peer("other")
    join(one, "wf", role="trainer")
    show(one, "wf", cursor=[1, 2])
    join(other, "wf")
    watch(other, "wf/loss")
    pass_window(world)
    world.lose(other)
    async with client_of(world) as client:
        scopes = (await client.get("/api/v1/presence")).json()
        members = (await client.get("/api/v1/presence/wf")).json()
        nobody = (await client.get("/api/v1/presence/wf/loss")).json()
    assert scopes == {"scopes": [{"id": 1, "scope": "wf", "count": 2, "watchers": 0}], "next": None}
    assert members["members"] == [
        {
            "id": 1,
            "client_id": "one",
            "client_type": "agent",
            "peer": one.session.peer.id,
            "generation": one.session.peer.generation,
            "away": False,
            "metadata": {"role": "trainer"},
            "awareness": {"cursor": [1, 2]},
        },
        {
            "id": 2,
            "client_id": "other",
            "client_type": "agent",
            "peer": other.session.peer.id,
            "generation": other.session.peer.generation,
            "away": True,
            "metadata": {},
            "awareness": None,
        },
    ]
    assert nobody == {"members": [], "next": None}


async def test_pages_join_to_the_whole() -> None:
    world = World()
    for number in range(5):
        peer = world.peer(f"client-{number}")
        join(peer, "wf")
        join(peer, f"wf-{number}")
    first = world.core.pool.newest_of("client-0")
    assert first is not None
    async with client_of(world) as client:
        for path, name, whole in (
            ("/api/v1/presence", "scopes", ["wf", *[f"wf-{number}" for number in range(5)]]),
            ("/api/v1/presence/wf", "members", [f"client-{number}" for number in range(5)]),
        ):
            page = (await client.get(f"{path}?limit=3")).json()
            rest = (await client.get(f"{path}?after={page['next']}")).json()
            found = [each.get("scope", each.get("client_id")) for each in page[name] + rest[name]]
            assert (found, rest["next"]) == (whole, None)


async def test_what_is_no_scope_is_refused() -> None:
    async with client_of(World()) as client:
        assert "is not a workflow" in failure_of(await client.get("/api/v1/presence/wf/*"), Code.INVALID_NAME, 400)
        assert "limit" in failure_of(await client.get("/api/v1/presence?limit=0"), Code.INVALID_REQUEST, 400)
