"""An office: one councillor as data controller, with hours, holidays, pledge and rules of its own."""
