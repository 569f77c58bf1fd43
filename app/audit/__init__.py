"""Who did, saw or sent what: append only, chained per office, ids and no text."""
