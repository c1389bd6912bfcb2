"""Delivers messages to people: to the channel they were written for, or to the worker's log where there is none.

Rule: a message holds names, numbers and links only. Fail mode: a channel that is down is tried for half an hour;
one that is no longer declared is told to the log, so that nothing is lost in silence.
"""

from __future__ import annotations

import logging
from typing import Final

from pilotage.control.instance import Instance
from pilotage.control.reach_channel import reach_channel
from pilotage.control.send_messages import KIND as MESSAGE
from pilotage.store.outbox import Message

KIND: Final = MESSAGE
logger = logging.getLogger("pilotage.notify")


def deliver_notification(instance: Instance, message: Message) -> None:
    """Send one message (`jobs.handlers.Deliverer`)."""
    channel = instance.workspace.channels.get(message.target)
    if channel is None:
        payload = message.payload
        logger.warning("%s: %s", payload.get("title", message.target), payload.get("text", dict(payload)))
        return
    reach_channel(instance, channel, message.payload, key=message.idempotency_key)
