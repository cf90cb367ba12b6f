"""`nbbuild cache keygen`: make keys that sign what is pushed to a remote cache."""

from __future__ import annotations

import click

from nbbuild.cli._verb import Verb
from nbbuild.cli.render import emit, json_option, say


@click.command(
    "keygen",
    cls=Verb,
    examples={"nbbuild cache keygen": "a secret key for CI, and its public one"},
)
@json_option
def command(as_json: bool) -> None:
    """Make a pair of ed25519 keys, which sign results that are pushed to a remote cache.

    The public key goes into [cache] public_keys, for all to read. The secret key goes into the
    secrets of CI as NBBUILD_SIGNING_KEY, and nowhere else.
    """
    from nbbuild.store.remote.signing import new_keys

    secret, public = new_keys()
    if as_json:
        emit({"secret": secret, "public": public})
        return
    emit(f'NBBUILD_SIGNING_KEY={secret}\npublic_keys = ["{public}"]')
    say("the first line is for the secrets of CI, the second for [cache] in jcache.toml")
