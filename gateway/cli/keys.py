"""``frys keys``: makes the keys of tokens."""

from __future__ import annotations

import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

import click

from gateway.cli.command import Command, with_lines_kept
from gateway.cli.exit_code import ExitCode
from gateway.errors import InvalidArgument
from gateway.security.signing_key import SigningKey
from gateway.security.token_key import ALGORITHMS, SECRET_ALGORITHM, read_keys

HELP = """Make the keys of tokens.

Examples:

    frys keys generate
    frys keys generate --keys /etc/frys/keys.json --signing-key ~/signing-key.json
"""


@click.group(help=with_lines_kept(HELP), invoke_without_command=True)
@click.pass_context
def keys(context: click.Context) -> None:
    """Print the help of the group, if no command of it is named."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@keys.command(cls=Command)
@click.option(
    "--keys",
    "set_path",
    type=click.Path(path_type=Path),
    default=Path("keys.json"),
    metavar="FILE",
    help="Keys that verify tokens, for the gateway; the new one is added if the file exists.",
)
@click.option(
    "--signing-key",
    "signing_path",
    type=click.Path(path_type=Path),
    default=Path("signing-key.json"),
    metavar="FILE",
    help="Key that makes tokens, for who issues them; the file must not exist.",
)
@click.option("--algorithm", type=click.Choice(ALGORITHMS), default=ALGORITHMS[0], help="Algorithm of the tokens.")
@click.option("--kid", metavar="NAME", help="Name of the key; absent: today's date, and four letters or digits.")
def generate(*, set_path: Path, signing_path: Path, algorithm: str, kid: str | None) -> int:
    """Make a key that signs tokens, and the one by which a gateway verifies them.

    A running gateway finds a key that is added within 10 s. With HS256 both files hold the same secret: whoever reads
    one of them can make tokens.

    Examples:

        frys keys generate
        frys keys generate --signing-key new-key.json --kid 2027-01
    """
    key = SigningKey.generate(algorithm, kid or f"{time.strftime('%Y-%m-%d')}-{secrets.token_hex(2)}")
    text = _added(set_path, key)
    private = json.dumps(dict(key.jwk), indent=2) + "\n"
    try:
        _write_new(signing_path, private)
    except FileExistsError:
        problem = f"{signing_path} exists, and may still sign tokens"
        raise InvalidArgument(f"{problem}: name another file with --signing-key") from None
    try:
        _replace(set_path, text, secret=algorithm == SECRET_ALGORITHM)
    except OSError:
        signing_path.unlink()  # no gateway would know it
        raise
    print(f"{signing_path}: key {key.kid}, which makes tokens by {algorithm}: keep it secret (frys token --key ...)")
    print(f"{set_path}: the key that verifies them (frys serve --keys file:{set_path})")
    return ExitCode.OK


def _added(path: Path, key: SigningKey) -> str:
    """Return the text of a JWK set with one more key.

    Raises:
        InvalidArgument: the file holds no JWK set, or the key does not go with the others.
    """
    entries: list[Any] = []
    if path.exists():
        text = path.read_text("utf-8")
        read_keys(text, str(path))
        if not text.lstrip().startswith("{"):
            raise InvalidArgument(f"{path} is a single key as PEM: name another file with --keys")
        entries = json.loads(text)["keys"]
    text = json.dumps({"keys": [*entries, key.verifying_jwk]}, indent=2) + "\n"
    read_keys(text, f"{path} with the new key")
    return text


def _write_new(path: Path, text: str) -> None:
    """Write a file that only its owner can read, and that was not there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _replace(path: Path, text: str, *, secret: bool) -> None:
    """Replace a file as a whole: a gateway that reads it meanwhile gets the old or the new one."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    _write_new(beside, text)
    beside.chmod(0o600 if secret else 0o644)
    beside.replace(path)
