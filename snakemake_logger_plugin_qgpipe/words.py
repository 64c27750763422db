"""Numbers and times as a person reads them."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """``0:07``, ``12:30``, ``3:02:11``, ``2 d 4 h``."""
    whole = int(seconds)
    if whole >= 86400:
        return f"{whole // 86400} d {whole % 86400 // 3600} h"
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def number(text: str) -> str:
    """A number as CSV has it, with four digits; anything else as it is."""
    try:
        return f"{float(text):.4g}"
    except ValueError:
        return text


def rate(text: str) -> str:
    """``5,120 graphs/s``."""
    try:
        value = float(text)
    except ValueError:
        return text
    return f"{value:,.0f} graphs/s" if value >= 10 else f"{value:.2g} graphs/s"
