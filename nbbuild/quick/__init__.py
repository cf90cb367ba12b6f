"""The answer "nothing to do", without loading anything."""
