"""The stars' SQL cases (`stars/<star>/cases/<table>.yaml`: input rows → expected rows), run on every engine.
What a case looks like is explained in the first lines of `stars/scx/cases/users.yaml`."""
