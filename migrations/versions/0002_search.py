"""Where the words of messages are kept; app/messages/index.py writes and asks it."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Words come folded, each with its office before it: the tokeniser only parts them at the spaces. Nothing asks for a
# word's weight, so the sizes of texts are not kept (columnsize). Mails are committed one by one: with the usual
# automerge of 4 their small segments are merged over and over (0.27 ms a mail; with 16 it is 0.20).
SQLITE = (
    "CREATE VIRTUAL TABLE search_words USING fts5(words, columnsize = 0, tokenize = \"ascii tokenchars '_'\")",
    "INSERT INTO search_words (search_words, rank) VALUES ('automerge', 16)",
)
# The words themselves go out of line (toast_tuple_target), so that the rows that a search finds lie close together.
POSTGRESQL = (
    "CREATE TABLE search_words (message_id bigint PRIMARY KEY, words tsvector NOT NULL) WITH (toast_tuple_target=128)",
    "CREATE INDEX ix_search_words_words ON search_words USING gin (words)",
)


def upgrade() -> None:
    for statement in SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE search_words")
