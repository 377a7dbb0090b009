"""One file a revision. A table that is new needs none: what is missing is created; what is changed needs one."""
