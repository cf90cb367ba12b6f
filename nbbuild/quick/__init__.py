"""Give the answer "nothing to do" without loading anything."""
