"""The engine's road from a bucket to published tables, driven whole, on real engines and real object stores.
Single functions are tested in unit/, the servers in servers/."""
