"""`scx cloud` and its templates, on moto's CloudFormation, with the resource types that moto lacks in `resources`.
No AWS is reached, and no test waits."""
