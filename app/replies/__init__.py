"""Answers on their way out: drafts, the outbox and its states."""
