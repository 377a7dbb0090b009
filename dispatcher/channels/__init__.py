"""How an alert reaches people and machines outside."""
