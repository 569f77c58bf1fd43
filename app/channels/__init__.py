"""Connected accounts: their streams, cursors and health."""
