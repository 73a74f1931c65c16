"""A client is who its token says, of the types that it says, until it expires or its key is removed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gateway.connections.sessions.grant import TypeAuthorizer
from gateway.errors import Code, RequestRefused
from gateway.ids import ClientId, StreamName
from gateway.protocol.messages import ClientType
from gateway.security.key_ring import REREAD_S
from gateway.security.permissions import GrantedPatterns
from gateway.security.settings import TypeGrants
from gateway.security.signing_key import SigningKey
from gateway.security.token_authorizer import TokenAuthorizer
from gateway.security.token_verifier import TokenVerifier
from tests.connections.memory import ManualClock
from tests.security.tokens import Issuer


class World:
    """An authorizer, the issuer whose tokens it takes, and their clock."""

    def __init__(self, path: Path) -> None:
        self.clock = ManualClock()
        self.issuer = Issuer(path)
        self.authorizer = TokenAuthorizer(self.issuer.settings, self.clock)

    def token(self, subject: str = "trainer", **claims: object) -> str:
        return self.issuer.token(subject, unix_s=self.clock.time_ns() // 10**9, **claims)

    def enter(
        self, token: str | None, client_id: str | None = "trainer", client_type: ClientType = ClientType.AGENT
    ) -> str:
        """Return the subject that a client has got; the words of the refusal if it was refused."""
        named = None if client_id is None else ClientId(client_id)
        try:
            grant = self.authorizer.authenticate(named, client_type, token, self.clock.monotonic_s())
        except RequestRefused as refusal:
            return refusal.message if refusal.code == Code.FORBIDDEN else str(refusal)
        return str(grant.subject)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "keys.json")


def test_a_grant_expires_with_its_token(world: World) -> None:
    now_s = world.clock.monotonic_s()
    grant = world.authorizer.authenticate(None, ClientType.AGENT, world.token(ttl_s=60), now_s)
    assert grant.expires_at_s == pytest.approx(now_s + 65, abs=1.1)
    assert grant.subject == "trainer"


@pytest.mark.parametrize("token", [None, ""])
def test_without_a_token_nobody_comes_in_and_is_told_the_remedy(world: World, token: str | None) -> None:
    assert "asks for a token" in world.enter(token)
    assert "frys token" in world.enter(token)


@pytest.mark.parametrize("client_id", ["trainer", "trainer--2", "trainer--a--b", None])
def test_names_of_a_subject(world: World, client_id: str | None) -> None:
    assert world.enter(world.token(), client_id) == "trainer"


@pytest.mark.parametrize(
    "client_id", ["planner", "trainer2", "trainer-2", "trainer.2", "traine", "Trainer", "a--trainer"]
)
def test_the_client_id_of_another_subject_is_not_taken_over(world: World, client_id: str) -> None:
    message = world.enter(world.token(), client_id)
    assert message.startswith(f"the token is that of trainer, and client_id is {client_id}: use trainer")


def test_types_are_those_of_the_claim(world: World) -> None:
    both = world.token(client_type=["agent", "workflow"])
    assert world.enter(both, client_type=ClientType.WORKFLOW) == "trainer"
    assert "for agent, workflow, not for admin_panel" in world.enter(both, client_type=ClientType.ADMIN_PANEL)
    assert "for no client type" in world.enter(world.token(client_type=[]))


@pytest.mark.parametrize("client_type", ClientType)
def test_without_the_claim_it_is_no_admin_panel(world: World, client_type: ClientType) -> None:
    admitted = world.enter(world.token(), client_type=client_type) == "trainer"
    assert admitted is (client_type is not ClientType.ADMIN_PANEL)


def test_a_storm_of_reconnects_costs_one_signature_check(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = list[str]()
    really_verify = TokenVerifier.verify

    def counted(verifier: TokenVerifier, token: str, unix_s: float, now_s: float) -> object:
        checks.append(token)
        return really_verify(verifier, token, unix_s, now_s)

    monkeypatch.setattr(TokenVerifier, "verify", counted)
    token = world.token()
    assert {world.enter(token) for _ in range(100)} == {"trainer"}
    assert len(checks) == 1
    assert "client_id is planner" in world.enter(token, "planner")


def test_what_was_verified_once_expires_nevertheless(world: World) -> None:
    token = world.token(ttl_s=60)
    assert world.enter(token) == "trainer"
    world.clock.advance(70)
    assert "it expired" in world.enter(token)


def test_a_token_is_not_replayed_once_its_key_is_removed(world: World) -> None:
    token = world.token()
    assert world.enter(token) == "trainer"
    world.issuer.publish(SigningKey.generate("EdDSA", "second"))
    world.clock.advance(REREAD_S)
    assert "'first', which is unknown" in world.enter(token)


def test_a_token_permits_what_its_grants_say_and_its_type_bounds_that(world: World) -> None:
    agents = GrantedPatterns(publish=("wf/*",), subscribe=("**",))
    settings = replace(world.issuer.settings, grants=TypeGrants(agent=agents))
    authorizer = TokenAuthorizer(settings, world.clock)
    now_s = world.clock.monotonic_s()

    def may(claim: object, client_type: ClientType = ClientType.AGENT) -> tuple[bool, bool, bool]:
        grant = authorizer.authenticate(None, client_type, world.token(grants=claim), now_s)
        return grant.may_publish(StreamName("wf/a")), grant.may_publish(StreamName("o/a")), grant.may_subscribe("**")

    assert may(None) == (True, False, True)
    assert may({"publish": ["**"]}) == (True, False, False)
    assert may({"publish": ["o/*"]}) == (False, False, False)
    assert may(None, ClientType.WORKFLOW) == (True, True, True)
    assert may({"publish": ["o/*"]}, ClientType.WORKFLOW) == (False, True, False)
    assert may({}, ClientType.WORKFLOW) == (False, False, False)
    with pytest.raises(RequestRefused, match="its claim grants cannot be used: it names none of publish"):
        may({"root": ["**"]})


def test_a_token_that_is_revoked_is_not_replayed_and_its_grants_are_withdrawn(world: World, tmp_path: Path) -> None:
    revoked = tmp_path / "revoked.jsonl"
    revoked.write_text("")
    authorizer = TokenAuthorizer(replace(world.issuer.settings, revoked=str(revoked)), world.clock)
    now_s = world.clock.monotonic_s()
    token = world.token(jti="one", client_type=["agent", "extension"])
    bounded = TypeAuthorizer(authorizer)
    grants = [bounded.authenticate(None, each, token, now_s) for each in (ClientType.AGENT, ClientType.EXTENSION)]
    other = authorizer.authenticate(None, ClientType.AGENT, world.token(jti="two"), now_s)
    assert not authorizer.look(now_s)
    revoked.write_text('{"jti": "one"}')
    assert authorizer.look(now_s)
    assert not authorizer.look(now_s)
    assert [authorizer.withdrawn(grant) for grant in (*grants, other)] == [True, True, False]
    with pytest.raises(RequestRefused, match="it was revoked"):
        authorizer.authenticate(None, ClientType.AGENT, token, now_s)


def test_grants_are_withdrawn_with_their_key(world: World) -> None:
    now_s = world.clock.monotonic_s()
    grant = world.authorizer.authenticate(None, ClientType.AGENT, world.token(), now_s)
    first = world.issuer.key
    world.issuer.publish(first, SigningKey.generate("EdDSA", "second"))
    assert world.authorizer.look(now_s + REREAD_S)
    assert not world.authorizer.withdrawn(grant)
    world.issuer.publish(SigningKey.generate("EdDSA", "first"))
    assert world.authorizer.look(now_s + 2 * REREAD_S)
    assert world.authorizer.withdrawn(grant)
