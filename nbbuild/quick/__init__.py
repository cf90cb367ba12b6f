"""Give the answer "nothing to do" without loading anything, and know what make asks for."""
