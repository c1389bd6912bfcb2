"""Incidents, their severities and timelines, drills and post-mortems."""
