"""The SQL cases of the stars (`stars/<star>/cases/<table>.yaml`: input rows → expected rows), run on every engine.

The format of a case is explained in `stars/scx/cases/users.yaml`.
"""
