"""Verdicts, and why: keys, inputs, reasons and conflicts. Reads, never writes."""
