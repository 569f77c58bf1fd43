"""Whether the keys beside the database are those it was used with: the database keeps what they are known by."""
