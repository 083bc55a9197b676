"""The forms that the address of a Ray cluster may have. They are checked before anything connects."""

from __future__ import annotations

import difflib
import re

from hpo.errors import UserError, shortened

LOCAL = "local"
"""The address that starts Ray on this machine, for one search alone."""
WORDS = ("auto", LOCAL)
"""The addresses that are words. `auto` is the cluster that this machine belongs to."""
FORMS = (
    "auto for the cluster of this machine, local to start Ray on this machine, HOST:6379 for a cluster that this "
    "machine belongs to, or ray://HOST:10001 for another one"
)
"""What is allowed, for a message. The ports are those that Ray takes by default."""
SHORT_FORMS = "auto, local, HOST:6379 or ray://HOST:10001"
"""The same without explanations."""
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_.])?|\[[0-9A-Fa-f:.%]+\]")


def check_address(address: str, source: str) -> None:
    """Raise a UserError that begins with `source`, such as --ray-address, if an address has no allowed form."""
    if address in WORDS:
        return
    start = f"{source} {shortened(address)}:"
    scheme, separator, rest = address.rpartition("://")
    if separator and scheme != "ray":
        raise UserError(f"{start} only ray:// is possible, not {shortened(scheme)}://; write {FORMS}")
    port_by_default = 10001 if separator else 6379
    host, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        if not separator and (close := difflib.get_close_matches(rest.lower(), WORDS, n=1, cutoff=0.6)):
            raise UserError(f"{start} did you mean {close[0]!r}? Write {FORMS}")
        if _HOST.fullmatch(rest):
            raise UserError(f"{start} write the port too: {scheme}{separator}{shortened(rest)}:{port_by_default}")
    elif _HOST.fullmatch(host):
        if port.isascii() and port.isdecimal() and 1 <= int(port[:6]) <= 65535:
            return
        text = shortened(port) if port else "missing"
        raise UserError(f"{start} the port must be a number from 1 to 65535, but is {text}")
    raise UserError(f"{start} no address; write {FORMS}")
