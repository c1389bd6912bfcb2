"""Channels that tell people: webhooks, PagerDuty, and what Apprise speaks."""
