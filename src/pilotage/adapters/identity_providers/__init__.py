"""Identity providers: OIDC access tokens verified against published keys."""
