"""Models of others: what their files say, what is found out, and what the user adds."""
