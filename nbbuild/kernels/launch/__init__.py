"""Start kernel processes, and make sure that none outlives its build."""
