"""Words every room shares: ids, digests, canonical JSON, time, reasons and errors."""
