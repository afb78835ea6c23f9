"""What must not be read by others in a database's URL, and how it may be spelt in a library's message."""

from urllib.parse import quote, quote_plus

from sqlalchemy.engine import URL

HIDDEN = "***"
"""What stands in a secret's place."""

_PARTS = ("pass", "pwd", "secret", "token")
_HARMLESS = (
    "application_name",
    "charset",
    "connect_timeout",
    "host",
    "hostaddr",
    "port",
    "sslmode",
    "sslrootcert",
    "ssl_ca",
    "target_session_attrs",
    "unix_socket",
)
_LONG = 6
"""Characters of a value by which it can be found in a text without taking something else for it."""


def is_secret(key: str) -> bool:
    """Whether a URL's query parameter of this name holds a secret, such as `password` or `sslpassword`."""
    return any(part in key.lower() for part in _PARTS)


def is_shown(key: str) -> bool:
    """Whether a query parameter's value may be shown: only where it is known to be harmless."""
    return key.lower() in _HARMLESS


def spellings(url: URL) -> list[str]:
    """All texts by which a URL's secrets could be given away, longest first."""
    secrets = {url.password} if isinstance(url.password, str) and url.password else set()
    for key, value in url.query.items():
        values = {value} if isinstance(value, str) else set(value)
        if not is_shown(key):
            secrets |= values if is_secret(key) else {value for value in values if len(value) >= _LONG}
    encoded = {form for secret in secrets for form in (quote(secret), quote(secret, safe=""), quote_plus(secret))}
    quoted = {repr(secret)[1:-1] for secret in secrets}
    return sorted((secrets | encoded | quoted) - {""}, key=len, reverse=True)
