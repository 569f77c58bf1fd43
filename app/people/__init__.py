"""Constituents and other contacts: one person, many identities."""
