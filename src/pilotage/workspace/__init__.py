"""The declared workspace as frozen records, validated with file, line and hint."""
