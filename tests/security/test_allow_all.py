"""A gateway without access control accepts every client, whatever its token says."""

from __future__ import annotations

import pytest

from gateway.ids import ClientId, StreamName
from gateway.protocol.messages import ClientType
from gateway.security.allow_all import AllowAll


@pytest.mark.parametrize("token", [None, "", "anything"])
def test_every_client_may_do_everything(token: str | None) -> None:
    grant = AllowAll().authenticate(ClientId("trainer"), ClientType.AGENT, token, 0.0)
    assert grant.expires_at_s is None
    assert grant.may_publish(StreamName("wf/a"))
    assert grant.may_subscribe("**")
    assert grant.may_request("group:workers")
