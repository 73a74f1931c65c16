"""``frys token``: makes a token for a client."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import click

from gateway.cli.command import Command
from gateway.cli.exit_code import ExitCode
from gateway.config import Settings
from gateway.protocol.messages import ClientType
from gateway.security.permissions import GrantedPatterns
from gateway.security.signing_key import SigningKey
from gateway.security.token_verifier import GRANTS_CLAIM, MAX_SUBJECT_CHARS, TYPES_CLAIM, is_subject

_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
MAX_TTL_S: Final = 10 * 365 * 86_400
"""Longest time of a token: a longer one is a mistake of the unit."""


class Duration(click.ParamType[int]):
    """Time as people write it, such as ``90s``, ``15m``, ``1h`` or ``7d``; its value is in seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the seconds of a text."""
        found = re.fullmatch(r"(\d{1,10})([smhd])", str(value))
        seconds = int(found[1]) * _UNITS_S[found[2]] if found else 0
        if not 0 < seconds <= MAX_TTL_S:
            self.fail(f"{value!r} is no time such as 90s, 15m, 1h or 7d, of ten years at most", param, ctx)
        return seconds


_GRANTS: Final = {
    "publish": "Streams that it may publish to, such as 'wf-42/*'; may be repeated, as all that follow.",
    "subscribe": "Streams that it may receive, and groups that it may join.",
    "presence": "Streams and workflows whose members it may watch and be; absent: as --subscribe.",
    "history": "Streams whose past it may read; absent: as --subscribe.",
    "request": "Addresses that it may ask, such as agent:planner, agent:* or group:workers.",
    "control": "Streams that it may delete.",
}


def with_grants(command: Callable[..., int]) -> Callable[..., int]:
    """Add an option for each permission to a function of which a command is made."""
    for act, words in reversed(_GRANTS.items()):
        command = click.option(f"--{act}", multiple=True, metavar="PATTERN", help=words)(command)
    return command


@click.command(cls=Command)
@click.option(
    "--key",
    "path",
    type=click.Path(path_type=Path),
    default=Path("signing-key.json"),
    metavar="FILE",
    help="Signing key, as frys keys generate writes it.",
)
@click.option(
    "--client-id",
    "subject",
    required=True,
    metavar="ID",
    help=f"Client that it is for, of {MAX_SUBJECT_CHARS} characters at most; it may also be ID--ANYTHING.",
)
@click.option(
    "--client-type",
    "types",
    type=click.Choice([each.value for each in ClientType]),
    multiple=True,
    default=(ClientType.AGENT.value,),
    help="Type that the client may have; may be repeated.",
)
@click.option("--ttl", "ttl_s", type=Duration(), default="1h", metavar="TIME", help="Time for which it is good.")
@click.option(
    "--audience", default=Settings().security.audience, metavar="NAME", help="Audience that the gateway asks for."
)
@with_grants
@click.option("--issuer", metavar="NAME", help="Issuer that the gateway asks for, if it does.")
def token(
    *,
    path: Path,
    subject: str,
    types: Sequence[str],
    ttl_s: int,
    audience: str,
    issuer: str | None,
    **grants: Sequence[str],
) -> int:
    """Print a token by which a client shows a gateway who it is.

    The clock of this machine counts. A token is good until it expires, unless the gateway is told to revoke it: make it
    short. Without --publish, --subscribe and the like it permits everything.

    Examples:

        frys token --client-id trainer
        frys token --client-id trainer --publish 'wf-42/*' --subscribe 'wf-42/**' --request agent:planner
        frys token --client-id boss --client-type admin_panel --ttl 8h
        FRYS_TOKEN=$(frys token --client-id trainer --ttl 5m) frys pub wf-42/loss loss.npy
    """
    if not is_subject(subject):
        rule = f"letters, digits, '.', '_' and '-', {MAX_SUBJECT_CHARS} at most, without '--' and no '-' last"
        raise click.BadParameter(f"{subject!r}: it takes {rule}", param_hint="--client-id")
    key = SigningKey.read(path.read_text("utf-8", errors="replace"), str(path))
    now = int(time.time())
    claims: dict[str, object] = {
        "sub": subject,
        "aud": audience,
        "iat": now,
        "exp": now + ttl_s,
        "jti": secrets.token_hex(8),
        TYPES_CLAIM: list(dict.fromkeys(types)),
    }
    if any(grants.values()):
        claims[GRANTS_CLAIM] = {act: list(patterns) for act, patterns in grants.items() if patterns}
        GrantedPatterns.of(claims[GRANTS_CLAIM])
    print(key.sign(claims if issuer is None else {**claims, "iss": issuer}))
    return ExitCode.OK
