"""An alarm, not a wall: phrases that try to instruct the model, also inside Base64 or URL escapes (serving.md 5.6).

Planted instructions need no trigger words; containment is the defence. Fail mode: an alarm missed changes nothing that
the other checks allow.
"""

from __future__ import annotations

import base64
import re
from urllib.parse import unquote

import re2

_PATTERNS = (
    r"ignore (?:all |any )?(?:the |your |previous |prior |above |earlier ){1,3}(?:instructions|rules|prompts?)",
    r"disregard (?:all |any )?(?:the |your |previous |prior |above )+",
    r"forget (?:everything|all|your) (?:instructions|rules|you were told|above)",
    r"you are now (?:a|an|in|the) ",
    (
        r"(?:reveal|print|show|repeat|output) (?:me )?(?:the |your )?(?:system|hidden|secret|initial) "
        r"(?:prompt|instructions|message)"
    ),
    r"(?:system|developer) (?:prompt|message|override)\s*:",
    r"act as (?:if you|though you|an? unrestricted|dan\b)",
    r"\bjailbreak\b|\bdan mode\b|developer mode (?:on|enabled)",
    r"do not (?:tell|inform|mention to) the user",
    (
        r"(?:send|post|upload|exfiltrate|forward) (?:it|this|them|the (?:data|conversation|answer|contents?)) to "
        r"(?:http|www|ftp)"
    ),
    r"new instructions?\s*:",
    r"<\|?(?:im_start|im_end|system|endoftext)\|?>",
    r"\[/?inst\]|<<sys>>",
    r"pretend (?:that )?(?:you|there) (?:are|have|is) no (?:rules|restrictions|guidelines|policy|policies)",
    r"without (?:any )?(?:restrictions|filters|safety|censorship)",
    r"answer (?:only )?in (?:base64|rot13|hex)",
)
_BASE64_CHARACTERS = 24
_BASE64 = re.compile(rf"[A-Za-z0-9+/]{{{_BASE64_CHARACTERS},}}={{0,2}}")
_ESCAPED = re.compile(r"%[0-9A-Fa-f]{2}")
_UNION = re2.compile("(?i)" + "|".join(f"(?:{pattern})" for pattern in _PATTERNS))


def count_tripwires(text: str) -> int:
    """Return how many places of the text, or of what it encodes one level deep, look like instructions to a model."""
    words = text.casefold().split()
    count = _count(" ".join(words))
    if "%" in text or max(map(len, words), default=0) >= _BASE64_CHARACTERS:
        count += sum(map(_count, _decoded(text)))
    return count


def _count(layer: str) -> int:
    return len(list(_UNION.finditer(layer.encode())))  # of bytes: nobody asks for the places


def _decoded(text: str) -> list[str]:
    found = [unquote(text, errors="replace").casefold()] if _ESCAPED.search(text) else []
    for match in _BASE64.finditer(text):
        digits = match.group().rstrip("=")
        digits = digits[: len(digits) - (len(digits) % 4 == 1)]  # a single last digit encodes nothing
        raw = base64.b64decode(digits + "=" * (-len(digits) % 4))
        found.append(" ".join(raw.decode("utf-8", errors="ignore").casefold().split()))
    return found
