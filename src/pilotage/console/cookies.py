"""The cookies of the console: the session, a sign-in under way, and the chosen look.

Rule: the session's cookie is `__Host-` (secure, host-only, whole site) behind TLS and plain on loopback HTTP only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

SECURE_NAME: Final = "__Host-pilotage"
PLAIN_NAME: Final = "pilotage"
SECURE_LOGIN: Final = "__Host-pilotage-login"
PLAIN_LOGIN: Final = "pilotage-login"
_LOGIN_S: Final = 600
THEME: Final = "pilotage-theme"
THEMES: Final = ("auto", "light", "dark")
_LONGEST_S: Final = 36_000


def read_cookies(header: str) -> dict[str, str]:
    """Return name and value of each cookie; the first of a name counts."""
    found: dict[str, str] = {}
    for piece in header.split(";"):
        name, separator, value = piece.strip().partition("=")
        if separator:
            found.setdefault(name, value.strip('"'))
    return found


def session_token(cookies: Mapping[str, str], *, is_secure: bool) -> str | None:
    """Return the session's token, if the browser sent one."""
    return cookies.get(SECURE_NAME if is_secure else PLAIN_NAME)


def set_session(token: str, *, is_secure: bool) -> str:
    """Return the Set-Cookie value that keeps a session."""
    name = SECURE_NAME if is_secure else PLAIN_NAME
    return f"{name}={token}; Path=/; HttpOnly; SameSite=Lax; Max-Age={_LONGEST_S}" + ("; Secure" if is_secure else "")


def login_secret(cookies: Mapping[str, str], *, is_secure: bool) -> str | None:
    """Return the secret of the sign-in that this browser began, if there is one."""
    return cookies.get(SECURE_LOGIN if is_secure else PLAIN_LOGIN)


def set_login(secret: str, *, is_secure: bool) -> str:
    """Return the Set-Cookie value that binds a sign-in to this browser."""
    name = SECURE_LOGIN if is_secure else PLAIN_LOGIN
    return f"{name}={secret}; Path=/; HttpOnly; SameSite=Lax; Max-Age={_LOGIN_S}" + ("; Secure" if is_secure else "")


def drop_login(*, is_secure: bool) -> str:
    """Return the Set-Cookie value that forgets a sign-in."""
    name = SECURE_LOGIN if is_secure else PLAIN_LOGIN
    return f"{name}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0" + ("; Secure" if is_secure else "")


def drop_session(*, is_secure: bool) -> str:
    """Return the Set-Cookie value that forgets the session."""
    name = SECURE_NAME if is_secure else PLAIN_NAME
    return f"{name}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0" + ("; Secure" if is_secure else "")


def set_theme(theme: str, *, is_secure: bool) -> str:
    """Return the Set-Cookie value that keeps the look."""
    return f"{THEME}={theme}; Path=/; HttpOnly; SameSite=Lax; Max-Age=31536000" + ("; Secure" if is_secure else "")
