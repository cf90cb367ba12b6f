"""Start kernel processes, and see that none outlives its build."""
