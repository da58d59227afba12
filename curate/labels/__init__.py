"""Label files in and out of tables: what a vendor returned, checked, and the labelled set of a workspace."""
