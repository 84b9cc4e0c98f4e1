"""The measured promises: `make bench` times whole processes side by side and prints ratios.
No test asserts a time; these are run by hand, on a quiet machine."""
