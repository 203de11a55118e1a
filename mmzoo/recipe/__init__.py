"""Text -> Plan: every name looked up, every option bound, all faults at once."""
